"""The verbs of users: get, list, put, update; and who is who, for everybody else."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from protocol.ids import is_user_id
from protocol.world import Clock, Rng
from services.commands import command
from services.conversations.rules import check_custom, check_users, checked_op, make_cursor, page_size, read_cursor
from services.scope import Scope
from services.tenants import Tenants
from services.users import rules
from services.users.book import USERS, Teller, UserBook, as_user
from services.users.model import Get, List, Profile, Put, Show, Update, User
from storage.ports.documents import Documents


class Users:
    """Users of every application. The first argument says of which."""

    def __init__(self, documents: Documents, rooms: Teller, tenants: Tenants, clock: Clock, rng: Rng) -> None:
        self._documents, self._tenants, self._clock = documents, tenants, clock
        self._book = UserBook(documents, rooms, tenants, clock, rng)

    @command("user.get", answers=replies.UserList)
    async def get(self, scope: Scope, p: Get) -> dict[str, Any]:
        """Users by their ids; unknown ones are left out."""
        check_users(p.users, "users")
        names = await self.of_external(scope, list(dict.fromkeys(p.users)))
        return {"items": list((await self.of_internal(scope, list(names.values()))).values())}

    @command("user.show", "GET /users/{user}", answers=replies.UserSeen)
    async def show(self, scope: Scope, p: Show) -> dict[str, Any]:
        """One user."""
        internal = await self._known(scope, p.user)
        people = await self.of_internal(scope, [internal])
        if internal not in people:
            raise _unknown(p.user)
        return {"user": people[internal]}

    @command("user.list", "GET /users", answers=replies.UserPage, anyone=False)
    async def list(self, scope: Scope, p: List) -> dict[str, Any]:
        """All users of the application, in order of their ids; for the application itself."""
        after = read_cursor(p.cursor, tuple[str])
        size = page_size(p.limit, 50, 100)
        found = await self._documents.find(scope, USERS, "all", (), after=after[0] if after else None, limit=size + 1)
        items = [as_user(held.doc).shown() for held in found[:size]]
        return {"items": items, "next": make_cursor(items[-1]["id"])} if len(found) > size else {"items": items}

    @command("user.update", "PATCH /users/{user}", answers=replies.UserChanged)
    async def update(self, scope: Scope, p: Update) -> dict[str, Any]:
        """Change the fields given of oneself, or as the application of anybody; null clears."""
        name = rules.changed_user(scope, p)
        return await self._changed(scope, p, "user.update", name, await self._known(scope, name))

    @command("user.put", "PUT /users/{user}", answers=replies.UserPut, makes=True)
    async def put(self, scope: Scope, p: Put) -> dict[str, Any]:
        """Say all there is of a user, who is created where there is none; what is left out is cleared."""
        name = rules.changed_user(scope, p)
        rules.check_new(name)
        check_custom(p.custom)
        return await self._changed(scope, p, "user.put", name, await self._book.named(scope, name))

    async def ensure(self, scope: Scope, profile: Profile) -> tuple[str, User]:
        """Create the user, or change just the fields given; (internal id, the user as it is now).

        `profile` must have been checked. The document decides; then an entry goes to the application's own conversation. If that
        is refused, the user stands all the same and the next `ensure` of this user says it again, five times at most.
        """
        await self._tenants.ready(scope.tenant)
        internal = await self._book.named(scope, profile.external_id)
        written = await self._book.write(scope, internal, profile.external_id, profile.changes())
        return internal, written.user

    async def renew(self, scope: Scope, internal: str, profile: Profile, said_ms: int) -> None:
        """Change the fields given, if this was said after the user's last change."""
        user = (await self._book.people(scope, [internal])).get(internal)
        if user is not None and user.updated_at < said_ms:
            await self._book.write(scope, internal, profile.external_id, profile.changes())

    async def of_external(self, scope: Scope, users: Sequence[str]) -> dict[str, str]:
        """Internal ids by the company's; unknown ones are left out."""
        return await self._book.names(scope, users)

    async def of_internal(self, scope: Scope, users: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the wire shows of them, by internal id; unknown ones are left out."""
        return {internal: user.shown() for internal, user in (await self._book.people(scope, users)).items()}

    async def _changed(self, scope: Scope, p: Update, kind: str, name: str, internal: str) -> dict[str, Any]:
        """Carry a command out: once for each `op`, whose first answer a repeat has too."""
        check_custom(p.custom)
        fields = rules.given(p)
        written = await self._book.write(scope, internal, name, fields, self._act(scope, p, kind, {"user": name, **fields}))
        return {**written.answer, "created": written.what == "created"} if kind == "user.put" else written.answer

    def _act(self, scope: Scope, p: Update, kind: str, said: dict[str, Any]) -> tuple[bytes, bytes] | None:
        if p.op is UNSET:
            return None
        now = self._clock.now_ms()
        op = checked_op(p.op, "op", now)
        rules.check_age(op, now)
        return op, self._tenants.known(scope.tenant).digest(kind, scope.user, said)

    async def _known(self, scope: Scope, name: str) -> str:
        found = await self.of_external(scope, [name]) if is_user_id(name) else {}
        if name not in found:
            raise _unknown(name)
        return found[name]


def _unknown(name: str) -> Refused:
    return Refused("not_found", f"There is no user `{name[:128]}`.", field="user")
