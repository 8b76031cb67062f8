"""The verbs of applications: create, get and list. They belong to the set-up itself, for they are looked up before a tenant is known."""

from collections.abc import Sequence

import msgspec

from protocol.world import Clock, Rng
from services.api_keys.text import DEV_PUBLISHABLE, make_key
from services.applications.model import DEV, Application, Environment
from services.chance import base32
from services.scope import SYSTEM
from storage.ports.documents import Documents, version

_APPLICATIONS = "applications"
_PAGE = 100


class Applications:
    """Applications of this set-up."""

    def __init__(self, documents: Documents, clock: Clock, rng: Rng) -> None:
        self._documents, self._clock, self._rng = documents, clock, rng

    async def create(self, name: str, environment: Environment = "live", *, id: str = "") -> Application:
        """A new application. With `id`: the one that has this id, made where there is none; of several who make it, the first decides."""
        made = self._made(id or "a" + base32(self._rng.bytes(16)), name, environment)
        if await self._documents.put(SYSTEM, _APPLICATIONS, made.id, msgspec.to_builtins(made), version(1)):
            return made
        found = await self.get(made.id)
        if found is None:
            raise LookupError(f"the application {made.id} was removed, and its id is not used again")
        return found

    async def get(self, application: str) -> Application | None:
        """The application with this id."""
        held = await self._documents.get(SYSTEM, _APPLICATIONS, application)
        return None if held is None else msgspec.convert(held.doc, Application)

    async def list(self) -> Sequence[Application]:
        """All of them, oldest first."""
        found: list[Application] = []
        while some := await self._documents.find(SYSTEM, _APPLICATIONS, "all", (), after=found[-1].id if found else None, limit=_PAGE):
            found += [msgspec.convert(held.doc, Application) for held in some]
        return sorted(found, key=lambda one: (one.created_at, one.id))

    def _made(self, application: str, name: str, environment: Environment) -> Application:
        publishable = DEV_PUBLISHABLE if application == DEV else make_key(environment, "pk", self._rng).text
        return Application(application, name, environment, publishable, self._clock.now_ms())
