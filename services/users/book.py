"""The book of users: the documents, written by whoever is first, and the entry in the application's conversation that says so."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from protocol.errors import Refused
from protocol.ids import derived_act
from protocol.world import Clock, Rng
from services.acts import Act, Verdict
from services.chance import base32
from services.recent import Recent
from services.scope import Scope
from services.tenants import Tenants
from services.users.acts import UserActs
from services.users.model import User
from services.users.rules import changed
from storage.ports.documents import Documents, version

USERS, NAMES = "users", "user_names"
_TRIES = 10
_TELLING_TRIES = 5
_MOST_CACHED = 100_000
_ID_SIZE = 20


class Written(NamedTuple):
    """A user as it is after a change was asked for, and the document's version."""

    user: User
    number: int
    what: str
    """created, changed, unchanged; or repeated: then `answer` is the first one."""
    answer: dict[str, Any]


class Teller(Protocol):
    """Where changes are told."""

    async def submit(self, scope: Scope, act: Act) -> Verdict:
        """Have an act decided. Raises Refused."""
        ...


class UserBook:
    """Users of every application."""

    def __init__(self, documents: Documents, rooms: Teller, tenants: Tenants, clock: Clock, rng: Rng) -> None:
        self._documents, self._rooms, self._tenants, self._clock, self._rng = documents, rooms, tenants, clock, rng
        self._acts = UserActs(documents)
        self._internal: Recent[tuple[str, str], str] = Recent(_MOST_CACHED)  # a name once given stays

    async def names(self, scope: Scope, users: Sequence[str]) -> dict[str, str]:
        """Internal ids by the company's; unknown ones are left out."""
        found = {name: internal for name in users if (internal := self._internal.get((scope.tenant, name)))}
        if missing := [name for name in dict.fromkeys(users) if name not in found]:
            for name, held in (await self._documents.get_many(scope, NAMES, missing)).items():
                found[name] = held.doc["user"]
                self._internal.put((scope.tenant, name), held.doc["user"])
        return {name: found[name] for name in users if name in found}

    async def named(self, scope: Scope, name: str) -> str:
        """The internal id of a name, given the first time. Of several who give one, the first decides."""
        if known := await self.names(scope, [name]):
            return known[name]
        internal = "u" + base32(self._rng.bytes(_ID_SIZE))
        if await self._documents.put(scope, NAMES, name, {"user": internal}, version(1)):
            self._internal.put((scope.tenant, name), internal)
        return (await self.names(scope, [name]))[name]

    async def people(self, scope: Scope, users: Sequence[str]) -> dict[str, User]:
        """Users by internal id; unknown ones are left out."""
        found = await self._documents.get_many(scope, USERS, list(dict.fromkeys(users)))
        return {internal: as_user(found[internal].doc) for internal in users if internal in found}

    async def write(self, scope: Scope, internal: str, name: str, fields: Mapping[str, Any], act: tuple[bytes, bytes] | None = None) -> Written:
        """Set these fields, once for each `act` (its id and digest), and tell of it. Whoever is outrun reads again."""
        op, digest = (act[0].hex(), act[1].hex()) if act else ("", "")
        for _ in range(_TRIES):
            held = await self._documents.get(scope, USERS, internal)
            before = as_user(held.doc) if held else None
            number = held.place.offset if held else 0
            if before and op and (first := await self._acts.first(scope, internal, before, op, digest)):
                return Written(before, number, "repeated", first)
            after = changed(before, name, fields, self._clock.now_ms(), op, digest)
            if before and after is before:
                return await self._unchanged(scope, internal, before, number, op, digest)
            await self._acts.settle(scope, internal, before)
            if await self._documents.put(scope, USERS, internal, msgspec.to_builtins(after), version(number + 1)):
                told = await self._told(scope, internal, after, number + 1)
                return Written(told, number + 1, "changed" if before else "created", {"user": told.shown()})
        raise Refused("unavailable", "This user is being changed by many at once: try again.")

    async def _unchanged(self, scope: Scope, internal: str, user: User, number: int, op: str, digest: str) -> Written:
        answer = {"user": user.shown(), "unchanged": True}
        if op:
            await self._acts.keep(scope, internal, op, digest, answer)
        return Written(await self._told(scope, internal, user, number), number, "unchanged", answer)

    async def _told(self, scope: Scope, internal: str, user: User, number: int) -> User:
        """Say it in the application's conversation if it has not been said, and note that it was: under an id made of the change, so
        that it is there once. Refused, it is said again with the next change of this user, or the next time it is asked for."""
        if user.told == user.change or user.failed >= _TELLING_TRIES:
            return user
        try:
            await self._rooms.submit(Scope(scope.tenant), self._entry(scope, internal, user))
            noted = msgspec.structs.replace(user, told=user.change, failed=0)
        except Refused:
            noted = msgspec.structs.replace(user, failed=user.failed + 1)
        # Refused when somebody has changed the user since: then that change is told, or told again, by whoever made it.
        await self._documents.put(scope, USERS, internal, msgspec.to_builtins(noted), version(number + 1))
        return noted

    def _entry(self, scope: Scope, internal: str, user: User) -> Act:
        """The user is its author, whoever acted: erasing the user's key erases what is said here of the user too."""
        tenant = self._tenants.known(scope.tenant)
        op = derived_act(tenant.key, user.updated_at, "user", internal, str(user.change))
        shown = user.shown()
        kind = "user.created" if user.change == 1 else "user.updated"
        body = {"user": shown.pop("id"), **shown}
        return Act(tenant.application(), kind, op, b"", {"user": internal}, body, internal, user.external_id)


def as_user(doc: dict[str, Any]) -> User:
    """A user, from its document."""
    return msgspec.convert(doc, User)
