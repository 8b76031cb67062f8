"""Granting: telling those who watch a conversation what they may do there, after whatever may have changed it.

The log says that rights changed; what somebody may do now only their room knows. So this worker asks it, once for all whom it
concerns, and never on a message's way. What changes while it asks is asked for again.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import trio

from actors.audience import Audience
from actors.house import Errands
from protocol.codec import pack, write
from protocol.errors import Refused
from services.acts import Rooms, View
from services.kinds import EVERYBODY
from services.scope import Scope

AT_ONCE = 1_000
"""Users of one question."""
AGAIN_S = 0.5
_WITHIN_S = 60.0


class Granting:
    """Sends `capabilities.changed`. One question at a time for each audience."""

    def __init__(self, rooms: Rooms, errands: Errands, frame: Callable[[bytes, bool], bytes]) -> None:
        self._rooms, self._errands, self._frame = rooms, errands, frame

    def concern(self, audience: Audience, users: Iterable[str]) -> None:
        """Tell these users (internal ids, or EVERYBODY), as far as they watch and are up to date."""
        here = {listener.user for listener in (*audience.live, *audience.ahead)}
        audience.concerned |= here if list(users) == EVERYBODY else here.intersection(users)
        if audience.concerned and not audience.asking:
            audience.asking = self._errands.run(partial(self._ask, audience), partial(self._asked, audience), _WITHIN_S)

    async def _ask(self, audience: Audience) -> None:
        key = audience.key
        while audience.concerned and audience.watchers:
            users = sorted(audience.concerned)[:AT_ONCE]
            audience.concerned.difference_update(users)
            try:
                view = await self._rooms.view(Scope(key.tenant), key.conversation, View("rights", own=True, floor=audience.last, users=users))
            except Refused:
                audience.concerned.update(users)
                await trio.sleep(AGAIN_S)
            else:
                self._tell(audience, view["roles"], view["granted"])

    def _asked(self, audience: Audience, _: Any, error: Exception | None) -> None:
        audience.asking = False
        if error is not None:
            self.concern(audience, list(audience.concerned))

    def _tell(self, audience: Audience, roles: dict[str, str], granted: dict[str, list[str]]) -> None:
        wires: dict[tuple[str, bool], bytes] = {}
        for listener in (*audience.live, *audience.ahead):
            role = roles.get(listener.user)
            if role is None:
                continue
            wire = wires.get((role, listener.text))
            if wire is None:
                push = {"t": "capabilities.changed", "c": audience.key.conversation, "p": {"role": role, "capabilities": granted[role]}}
                wire = wires[role, listener.text] = self._frame((write if listener.text else pack)(push), listener.text)
            listener.send_frames(wire)
