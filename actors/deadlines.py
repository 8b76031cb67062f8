"""Deadlines of the records on their way, of all rooms of a worker: one task, no timer for each command."""

from typing import Any

import trio

from actors.messages import Overdue
from protocol.limits import VERDICT_WITHIN_S
from supervisor import ActorStopped, MailboxFull, Ref

GIVEN_UP_S = 120.0
_LOOK_S = 0.25


class Deadlines:
    """Records by number, in the order they left."""

    def __init__(self) -> None:
        self._flying: dict[int, tuple[Ref[Any], float]] = {}
        self._overdue: dict[int, tuple[Ref[Any], float]] = {}

    def left(self, number: int, room: Ref[Any]) -> None:
        """A record left now."""
        self._flying[number] = (room, trio.current_time())

    def landed(self, number: int) -> None:
        """The log has answered."""
        self._flying.pop(number, None)
        self._overdue.pop(number, None)

    async def run(self) -> None:
        """Tell rooms twice: when a verdict is late, and when the log is taken to have given up."""
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            for number, (room, since) in self._late(self._flying, now - VERDICT_WITHIN_S):
                self._overdue[number] = (room, since)
            self._late(self._overdue, now - GIVEN_UP_S)

    def _late(self, records: dict[int, tuple[Ref[Any], float]], before: float) -> list[tuple[int, tuple[Ref[Any], float]]]:
        late = []
        for number, (room, since) in records.items():
            if since > before:
                break
            late.append((number, (room, since)))
        for number, (room, _) in late:
            del records[number]
            try:
                room.send_nowait(Overdue(number))
            except (ActorStopped, MailboxFull):
                continue  # it answered its commands when it stopped
        return late
