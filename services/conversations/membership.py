"""The verbs of members: add, remove, update and list; join and leave."""

from collections.abc import Sequence
from typing import Any, Protocol

from protocol import replies
from services.acts import Asked, Rooms, View
from services.commands import command
from services.conversations import rules
from services.conversations.acting import Acting, People, check_somebody, seq_of
from services.conversations.model import AddMembers, ListMembers, RemoveMember, UpdateMember, Whole
from services.receipts.pointers import Pointer
from services.scope import Scope


class Reached(Protocol):
    """What is needed of receipts."""

    async def of_members(self, scope: Scope, conversation: str, users: Sequence[str] | None = None) -> dict[str, Pointer]:
        """How far members (internal ids) have got, by external id."""
        ...


class Membership:
    """Who belongs to a conversation."""

    def __init__(self, rooms: Rooms, people: People, reached: Reached, acting: Acting) -> None:
        self._rooms, self._people, self._reached, self._acting = rooms, people, reached, acting

    @command("member.add", "POST /conversations/{c}/members", answers=replies.Done, makes=True, needs=("add_members",))
    async def add(self, scope: Scope, p: AddMembers) -> Asked:
        """Let users in."""
        rules.check_conversation(p.c)
        rules.check_users(p.users, "users")
        found = await self._acting.found(scope, list(dict.fromkeys(p.users)), "users")
        return Asked(self._acting.act(scope, p, "member.added", {"users": list(found.values())}, {"users": list(found)}), seq_of)

    @command("member.remove", "DELETE /conversations/{c}/members/{user}", answers=replies.Done, needs=("remove_members",))
    async def remove(self, scope: Scope, p: RemoveMember) -> Asked:
        """Show a user out; to name oneself is to leave."""
        rules.check_conversation(p.c)
        rules.check_user(p.user, "user")
        found = await self._acting.found(scope, [p.user], "user")
        kind = "member.left" if scope.user == found[p.user] else "member.removed"
        return Asked(self._acting.act(scope, p, kind, {"user": found[p.user]}, {"user": p.user}), seq_of)

    @command("member.update", "PATCH /conversations/{c}/members/{user}", answers=replies.Done, needs=("set_roles",))
    async def update(self, scope: Scope, p: UpdateMember) -> Asked:
        """Give a member another role."""
        rules.check_conversation(p.c)
        rules.check_user(p.user, "user")
        rules.check_role(p.role)
        found = await self._acting.found(scope, [p.user], "user")
        return Asked(self._acting.act(scope, p, "member.updated", {"user": found[p.user], "role": p.role}, {"user": p.user}), seq_of)

    @command("member.list", "GET /conversations/{c}/members", answers=replies.MemberPage)
    async def list(self, scope: Scope, p: ListMembers) -> dict[str, Any]:
        """Who belongs here, in order of joining."""
        rules.check_conversation(p.c)
        after = rules.read_cursor(p.cursor, tuple[int])
        size = rules.page_size(p.limit, 50, 100)
        view = await self._rooms.view(scope, p.c, View("members", after=after[0] if after else -1, limit=size + 1))
        rows = view["rows"][:size]
        users = [user for user, *_ in rows]
        people = await self._people.of_internal(scope, users)
        reached = await self._reached.of_members(scope, p.c, users)
        items = [{"user": people[user], "role": role, "joined_at": at, **_read(reached.get(people[user]["id"]))}
                 for user, role, at, _ in rows if user in people]
        return {"items": items, "next": rules.make_cursor(rows[-1][3])} if len(view["rows"]) > size else {"items": items}

    @command("conversation.join", "POST /conversations/{c}/join", answers=replies.Done, makes=True)
    def join(self, scope: Scope, p: Whole) -> Asked:
        """Come into a public or broadcast conversation."""
        check_somebody(scope, "joins")
        rules.check_conversation(p.c)
        return Asked(self._acting.act(scope, p, "member.joined", {"users": [scope.user]}, {"users": [scope.external]}), seq_of)

    @command("conversation.leave", "POST /conversations/{c}/leave", answers=replies.Done)
    def leave(self, scope: Scope, p: Whole) -> Asked:
        """Go. The last owner stays until somebody else is one."""
        check_somebody(scope, "leaves")
        rules.check_conversation(p.c)
        return Asked(self._acting.act(scope, p, "member.left", {"user": scope.user}, {"user": scope.external}), seq_of)


def _read(pointer: Pointer | None) -> dict[str, int]:
    return {"read_seq": pointer.read} if pointer and pointer.read else {}
