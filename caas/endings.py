"""What has ended, on every worker: sessions, keys, users' and everybody's tokens. Told at once over links and bus, and looked for besides.

Telling reaches every worker within milliseconds, where the links stand; those of other nodes over the bus. Looking, twice a second, finds
what nobody told: a key deleted from the command line, news lost with a link. So within a second whatever ended is refused and cut off
everywhere.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import trio

from actors.across import Across
from actors.connections import Connections
from services.scope import Scope
from services.sessions import Ending, Sessions
from services.sessions.company import key_of
from services.sessions.gate import covers
from storage.ports.errors import StorageError
from transport.link import Links

_EVERY_S = 0.5
_LINK_WITHIN_S = 2.0


class Endings:
    """One worker's share of it. `sessions` and `connections` are set when they are made."""

    sessions: Sessions
    connections: Connections

    def __init__(self, me: str, links: Links, members: Callable[[], Collection[str]], across: Across) -> None:
        self._me, self._links, self._members, self._across = me, links, members, across
        across.on("ended", lambda *parts: self.told(parts))
        self._missed = False
        self._unsettled: set[str] = set()
        self._changes = -1
        self._grounds: Sequence[Scope] = ()  # of those connected, one for each key of each tenant
        self._news = trio.Event()

    def announce(self, ending: Ending) -> None:
        """Something has ended: tell every worker of every node, this one too."""
        self.take(ending)
        for worker in self._members():
            if worker != self._me:
                self._links.tell(worker, ["ended", *ending])
        self._across.tell("ended", *ending)

    def told(self, parts: Any) -> None:
        """A sibling says so."""
        self.take(Ending(*parts))

    def take(self, ending: Ending) -> None:
        """Refuse it from now on, and close its connections."""
        self.sessions.gate.ended(ending)
        self.connections.revoke(lambda scope: covers(ending, scope), ending.reason)
        if ending.look:
            self._unsettled.add(ending.tenant)
            self._news.set()

    def missed(self) -> None:
        """A link broke: look at everything when it is back."""
        self._missed = True
        self._news.set()

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            with trio.move_on_after(_EVERY_S):
                await self._news.wait()
            self._news = trio.Event()
            missed, self._missed = self._missed, False
            if missed:
                with trio.move_on_after(_LINK_WITHIN_S):
                    await self._links.wait_linked(self._members())
            try:
                await self._look(missed)
            except StorageError:
                self._missed = self._missed or missed
                await trio.sleep(_LINK_WITHIN_S)

    async def _look(self, everything: bool) -> None:
        if self._changes != self.connections.changes:  # walking over all of those who are idle costs more than anything else they do
            self._changes = self.connections.changes
            self._grounds = list({(scope.tenant, key_of(scope.session)): scope for scope in self.connections.scopes()}.values())
        self._unsettled |= {scope.tenant for scope in self._grounds} if everything else await self.sessions.gate.unsettled(self._grounds)
        connected = self.connections.scopes() if self._unsettled else []
        for tenant in list(self._unsettled):
            if gone := await self.sessions.gate.gone(tenant, [scope for scope in connected if scope.tenant == tenant]):
                self.take(Ending(tenant, "revoked", gone))
            self._unsettled.discard(tenant)
