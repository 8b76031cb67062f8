"""The verbs of conversations: create, get, list, sync; add, remove and list members."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from protocol.ids import show_act
from protocol.world import Clock, Ids
from services.acts import Act, Asked, Rooms, Verdict, View
from services.commands import command
from services.conversations import listing, rules
from services.conversations.model import AddMembers, Create, List, ListMembers, Named, RemoveMember, Sync
from services.conversations.showing import ABOUT, conversation_object
from services.digests import said
from services.history import History
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.documents import Documents


class People(Protocol):
    """What is needed of users."""

    async def of_external(self, scope: Scope, users: Sequence[str]) -> dict[str, str]:
        """Internal ids of those that exist, by the company's."""
        ...

    async def of_internal(self, scope: Scope, users: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the wire shows of them, by internal id."""
        ...


class Conversations:
    """Conversations and their members."""

    def __init__(self, rooms: Rooms, history: History, documents: Documents, people: People, tenants: Tenants, clock: Clock, ids: Ids) -> None:
        self._rooms, self._history, self._documents, self._people = rooms, history, documents, people
        self._tenants, self._clock, self._ids = tenants, clock, ids

    @command("conversation.create", "POST /conversations", answers=replies.ConversationMade, makes=True)
    async def create(self, scope: Scope, p: Create) -> dict[str, Any]:
        """Begin a conversation; the same pair, or the same id for a member, gives the one that is there."""
        rules.check_create(p)
        others = [user for user in dict.fromkeys(p.members or []) if user != scope.external]
        found = await self._found(scope, others, "members")
        conversation, act = self._creation(scope, p, found)
        try:
            verdict = await self._rooms.submit(scope, act)
        except Refused as refused:
            if refused.code != "id_conflict":
                raise
            return await self._existing(scope, conversation, refused)
        shown = await self._shown(scope, conversation)
        return {"conversation": shown, **flags(verdict)}

    @command("conversation.get", "GET /conversations/{c}", answers=replies.ConversationSeen)
    async def get(self, scope: Scope, p: Named) -> dict[str, Any]:
        """A conversation, and what you may do in it."""
        rules.check_conversation(p.c)
        view = await self._rooms.view(scope, p.c, View("about"))
        return about(p.c, view)

    @command("conversation.list", "GET /conversations", answers=replies.ConversationPage)
    async def list(self, scope: Scope, p: List) -> dict[str, Any]:
        """A user's conversations, latest activity first."""
        return await listing.page(self._documents, self._history, scope, p)

    @command("conversation.sync", "GET /conversations/{c}/sync", answers=replies.Synced)
    async def sync(self, scope: Scope, p: Sync) -> dict[str, Any]:
        """What happened after a seq, as it happened."""
        own = p.c == "me" and bool(scope.user)
        conversation = self._tenants.known(scope.tenant).personal(scope.user) if own else p.c
        if not own:
            rules.check_conversation(p.c)
        passage = await self._history.after(scope, conversation, p.after, rules.page_size(p.limit, 200, 500), own=own)
        head, epoch, floor = passage.view["head"]["seq"], passage.view["epoch"], passage.view["head"]["floor"][0]
        if p.epoch not in (UNSET, epoch):
            return {"entries": [], "head": head, "epoch": epoch, "more": False, "gap": {"from": 1, "to": head}}
        entries = await self._history.pushes(scope, passage.rows, "me" if own else "", passage.view)
        gap = {"gap": {"from": p.after + 1, "to": floor}} if p.after < floor else {}
        return {"entries": entries, "head": head, "epoch": epoch, "more": passage.more, **gap}

    @command("member.add", "POST /conversations/{c}/members", answers=replies.Done, makes=True, needs=("add_members",))
    async def add(self, scope: Scope, p: AddMembers) -> Asked:
        """Let users in."""
        rules.check_conversation(p.c)
        rules.check_users(p.users, "users")
        found = await self._found(scope, list(dict.fromkeys(p.users)), "users")
        facts, body = {"users": list(found.values())}, {"users": list(found), **_by(scope)}
        return Asked(self._act(scope, p, "member.added", facts, body), seq_of)

    @command("member.remove", "DELETE /conversations/{c}/members/{user}", answers=replies.Done, needs=("remove_members",))
    async def remove(self, scope: Scope, p: RemoveMember) -> Asked:
        """Show a user out."""
        rules.check_conversation(p.c)
        rules.check_users([p.user], "user")
        found = await self._found(scope, [p.user], "user")
        return Asked(self._act(scope, p, "member.removed", {"user": found[p.user]}, {"user": p.user, **_by(scope)}), seq_of)

    @command("member.list", "GET /conversations/{c}/members", answers=replies.MemberPage)
    async def members(self, scope: Scope, p: ListMembers) -> dict[str, Any]:
        """Who belongs here, in order of joining."""
        rules.check_conversation(p.c)
        after = rules.read_cursor(p.cursor, tuple[int])
        size = rules.page_size(p.limit, 50, 100)
        view = await self._rooms.view(scope, p.c, View("members", after=after[0] if after else -1, limit=size + 1))
        rows = view["rows"][:size]
        people = await self._people.of_internal(scope, [user for user, *_ in rows])
        items = [{"user": people[user], "role": role, "joined_at": at} for user, role, at, _ in rows if user in people]
        return {"items": items, "next": rules.make_cursor(rows[-1][3])} if len(view["rows"]) > size else {"items": items}

    async def _found(self, scope: Scope, users: Sequence[str], field: str) -> dict[str, str]:
        found = await self._people.of_external(scope, users) if users else {}
        for user in users:
            if user not in found:
                raise Refused("not_found", f"There is no user `{user}`: create the user first.", field=field)
        return {user: found[user] for user in users}

    def _creation(self, scope: Scope, p: Create, others: dict[str, str]) -> tuple[str, Act]:
        tenant = self._tenants.known(scope.tenant)
        names = {**({scope.external: scope.user} if scope.user else {}), **others}
        op = self._op(p.op)
        if p.type == "direct":
            rules.check_pair([user for user in names if user != scope.external] if scope.user else list(names)[1:])
            conversation, role = tenant.direct(*names.values()), "owner"
        else:
            conversation, role = p.id or tenant.derived("conversation", show_act(op)), "member"
        members = [(user, "owner" if not place else role) for place, user in enumerate(names.values())]
        told = {name: getattr(p, name) for name in ABOUT if getattr(p, name) is not UNSET}
        facts = {"type": p.type, "access": p.access or "private", "members": members, "about": told, "by": scope.external}
        digest = tenant.digest("conversation.created", scope.user, said(p))
        body = {"members": list(names), **_by(scope)}
        return conversation, Act(conversation, "conversation.created", op, digest, facts, body, scope.user, scope.external)

    async def _existing(self, scope: Scope, conversation: str, refused: Refused) -> dict[str, Any]:
        try:
            return {"conversation": await self._shown(scope, conversation), "unchanged": True}
        except Refused as hidden:
            if hidden.code in ("not_found", "not_a_member"):
                raise refused from hidden
            raise

    async def _shown(self, scope: Scope, conversation: str) -> dict[str, Any]:
        view = await self._rooms.view(scope, conversation, View("about"))
        return conversation_object(conversation, view["head"])

    def _act(self, scope: Scope, p: Any, kind: str, facts: dict[str, Any], body: dict[str, Any]) -> Act:
        digest = self._tenants.known(scope.tenant).digest(kind, scope.user, said(p))
        return Act(p.c, kind, self._op(p.op), digest, facts, body, scope.user, scope.external)

    def _op(self, op: Any) -> bytes:
        return self._ids.uuid7() if op is UNSET else rules.checked_op(op, "op", self._clock.now_ms())


def about(conversation: str, view: dict[str, Any]) -> dict[str, Any]:
    """The conversation with one's role and capabilities, as `conversation.get` and `.watch` answer."""
    role = {"role": view["role"]} if view["role"] else {}
    return {"conversation": conversation_object(conversation, view["head"]), **role, "capabilities": view["capabilities"]}


def seq_of(verdict: Verdict) -> dict[str, Any]:
    """The usual answer of what changes a conversation."""
    return {"seq": verdict.seq, **flags(verdict)}


def flags(verdict: Verdict) -> dict[str, bool]:
    """Whether it was a repeat, or changed nothing."""
    return {name: True for name in ("duplicate", "unchanged") if getattr(verdict, name)}


def _by(scope: Scope) -> dict[str, str]:
    return {"by": scope.external} if scope.user else {}


