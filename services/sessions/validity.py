"""From when on tokens count: a moment for each application and for each user, written when all their tokens are to end.

What was issued at that moment or before it is refused, for good. A worker looks at most a second behind, and is told at once besides.
"""

from collections.abc import Sequence
from typing import Final

from protocol.errors import Refused
from protocol.world import Clock
from services.recent import Recent
from services.scope import SYSTEM, Scope
from storage.ports.documents import Documents, version
from storage.ports.scope import Tenanted

_VALID_AFTER: Final = "tokens_valid_after"
_TRUSTED_MS = 1_000
_MOST_CACHED = 100_000
_TRIES = 10


class Validity:
    """`tokens_valid_after`, in ms since 1970; 0 where nothing was ever ended."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents, self._clock = documents, clock
        self._seen: Recent[tuple[str, str], tuple[int, int]] = Recent(_MOST_CACHED)  # the moment, and when it was looked up

    async def of_application(self, tenant: str) -> int:
        """For all users of an application."""
        return await self._after(SYSTEM, tenant, "")

    async def of_user(self, tenant: str, user: str) -> int:
        """For one user, by internal id."""
        return await self._after(Scope(tenant), tenant, user)

    async def of_applications(self, tenants: Sequence[str]) -> dict[str, int]:
        """For several applications, as storage has it now, in one read."""
        now = self._clock.now_ms()
        found = await self._documents.get_many(SYSTEM, _VALID_AFTER, tenants)
        return {tenant: self._learned(tenant, "", found[tenant].doc["at"] if tenant in found else 0, now) for tenant in tenants}

    async def end_application(self, tenant: str) -> int:
        """What was issued until now is over; this moment."""
        return await self._end(SYSTEM, tenant, "")

    async def end_user(self, tenant: str, user: str) -> int:
        """The same, of one user."""
        return await self._end(Scope(tenant), tenant, user)

    def learn(self, tenant: str, user: str, moment: int) -> int:
        """Some worker ended what was issued until then; nothing that is read later may say less. What is known now."""
        return self._learned(tenant, user, moment, self._clock.now_ms())

    async def _after(self, scope: Tenanted, tenant: str, user: str) -> int:
        known = self._seen.get((tenant, user))
        now = self._clock.now_ms()
        if known and 0 <= now - known[1] < _TRUSTED_MS:
            return known[0]
        held = await self._documents.get(scope, _VALID_AFTER, user or tenant)
        return self._learned(tenant, user, held.doc["at"] if held else 0, now)

    def _learned(self, tenant: str, user: str, moment: int, at: int) -> int:
        known = self._seen.get((tenant, user))
        moment = max(moment, known[0] if known else 0)
        self._seen.put((tenant, user), (moment, at))
        return moment

    async def _end(self, scope: Tenanted, tenant: str, user: str) -> int:
        now = self._clock.now_ms()
        for _ in range(_TRIES):
            held = await self._documents.get(scope, _VALID_AFTER, user or tenant)
            moment = max(now, held.doc["at"] if held else 0)
            if await self._documents.put(scope, _VALID_AFTER, user or tenant, {"at": moment}, version(held.place.offset + 1 if held else 1)):
                self.learn(tenant, user, moment)
                return moment
        raise Refused("unavailable", "Many are ending these tokens at once: try again.")
