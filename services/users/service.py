"""Users: a company's id and ours, what is known of a user, and the entry that says it changed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from protocol.errors import Refused
from protocol.ids import derived_act
from protocol.world import Clock, Rng
from services.acts import Act, Rooms
from services.chance import base32
from services.recent import Recent
from services.scope import Scope
from services.tenants import Tenants
from services.users.model import Profile, User
from storage.ports.documents import Documents, version

_USERS, _NAMES = "users", "user_names"
_TRIES = 10
_TELLING_TRIES = 5
_MOST_CACHED = 100_000
_ID_SIZE = 20


class Users:
    """Users of every application. The first argument says of which."""

    def __init__(self, documents: Documents, rooms: Rooms, tenants: Tenants, clock: Clock, rng: Rng) -> None:
        self._documents, self._rooms, self._tenants, self._clock, self._rng = documents, rooms, tenants, clock, rng
        self._internal: Recent[tuple[str, str], str] = Recent(_MOST_CACHED)  # a name once given stays

    async def ensure(self, scope: Scope, profile: Profile) -> tuple[str, User]:
        """Create the user, or change just the fields given; (internal id, the user as it is now).

        `profile` must have been checked. The document decides; then an entry goes to the application's own conversation. If that
        is refused, the user stands all the same and the next `ensure` of this user says it again, five times at most.
        """
        await self._tenants.ready(scope.tenant)
        internal = await self._named(scope, profile.external_id)
        user, number = await self._written(scope, internal, profile)
        if user.told < user.change and user.failed < _TELLING_TRIES:
            user = await self._tell(scope, internal, user, number)
        return internal, user

    async def of_external(self, scope: Scope, users: Sequence[str]) -> dict[str, str]:
        """Internal ids by the company's; unknown ones are left out."""
        found = {name: internal for name in users if (internal := self._internal.get((scope.tenant, name)))}
        if missing := [name for name in dict.fromkeys(users) if name not in found]:
            for name, held in (await self._documents.get_many(scope, _NAMES, missing)).items():
                found[name] = held.doc["user"]
                self._internal.put((scope.tenant, name), held.doc["user"])
        return {name: found[name] for name in users if name in found}

    async def of_internal(self, scope: Scope, users: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the wire shows of them, by internal id; unknown ones are left out."""
        found = await self._documents.get_many(scope, _USERS, list(dict.fromkeys(users)))
        return {internal: _user(found[internal].doc).shown() for internal in users if internal in found}

    async def _named(self, scope: Scope, name: str) -> str:
        """The internal id of a name, given the first time. Of several who give one, the first decides."""
        if not await self.of_external(scope, [name]):
            internal = "u" + base32(self._rng.bytes(_ID_SIZE))
            await self._documents.put(scope, _NAMES, name, {"user": internal}, version(1))
        return (await self.of_external(scope, [name]))[name]

    async def _written(self, scope: Scope, internal: str, profile: Profile) -> tuple[User, int]:
        """The user with these fields, and the document's version. Whoever is outrun reads again."""
        for _ in range(_TRIES):
            held = await self._documents.get(scope, _USERS, internal)
            before = _user(held.doc) if held else None
            number = held.place.offset if held else 0
            after = _changed(before, profile, self._clock.now_ms())
            if after is before:
                return after, number
            if await self._documents.put(scope, _USERS, internal, msgspec.to_builtins(after), version(number + 1)):
                return after, number + 1
        raise Refused("unavailable", "This user is being changed by many at once: try again.")

    async def _tell(self, scope: Scope, internal: str, user: User, number: int) -> User:
        """Say it in the application's conversation, and note that it was said: under an id made of the change, so that it is there once."""
        try:
            await self._rooms.submit(Scope(scope.tenant), self._entry(scope, internal, user))
            noted = msgspec.structs.replace(user, told=user.change, failed=0)
        except Refused:
            noted = msgspec.structs.replace(user, failed=user.failed + 1)
        # Refused when somebody has changed the user since: then that change is told, or told again, by whoever made it.
        await self._documents.put(scope, _USERS, internal, msgspec.to_builtins(noted), version(number + 1))
        return noted

    def _entry(self, scope: Scope, internal: str, user: User) -> Act:
        """The user is its author, whoever acted: erasing the user's key erases what is said here of the user too."""
        tenant = self._tenants.known(scope.tenant)
        op = derived_act(tenant.key, user.updated_at, "user", internal, str(user.change))
        shown = user.shown()
        kind = "user.created" if user.change == 1 else "user.updated"
        body = {"user": shown.pop("id"), **shown}
        return Act(tenant.application(), kind, op, b"", {"user": internal}, body, internal, user.external_id)


def _user(doc: dict[str, Any]) -> User:
    return msgspec.convert(doc, User)


def _changed(user: User | None, profile: Profile, now_ms: int) -> User:
    """The user after this was said; the same object when it says nothing new."""
    given = profile.changes()
    if user is None:
        return User(profile.external_id, now_ms, now_ms, 1, **given)
    if all(getattr(user, name) == value for name, value in given.items()):
        return user
    return msgspec.structs.replace(user, updated_at=now_ms, change=user.change + 1, failed=0, **given)
