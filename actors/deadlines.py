"""Deadlines of the records on their way, of all rooms of a worker: one task, no timer for each command."""

from contextlib import suppress
from typing import Any

import trio

from actors.messages import Late, Overdue
from protocol.limits import VERDICT_WITHIN_S
from supervisor import ActorStopped, MailboxFull, Ref

GIVEN_UP_S = 120.0
_LOOK_S = 0.25


class Deadlines:
    """Records by number, in the order they left."""

    def __init__(self) -> None:
        self._flying: dict[int, tuple[Ref[Any], float]] = {}
        self._overdue: dict[int, tuple[Ref[Any], float]] = {}
        self._waited: dict[int, tuple[Ref[Any], float]] = {}  # records with commands that came before they left, few

    def left(self, number: int, room: Ref[Any], oldest: float) -> None:
        """A record left now; the oldest of its commands came then."""
        now = trio.current_time()
        self._flying[number] = (room, now)
        if oldest < now - _LOOK_S:
            self.waited(number, room, oldest)

    def waited(self, number: int, room: Ref[Any], since: float) -> None:
        """Commands of a record on its way have waited since then: the room is told when it is too long."""
        self._waited[number] = (room, since)

    def landed(self, number: int) -> None:
        """The log has answered."""
        self._flying.pop(number, None)
        self._waited.pop(number, None)
        self._overdue.pop(number, None)

    async def run(self) -> None:
        """Tell rooms twice of a record: when its verdict is late, and when the log is taken to have given up; and of commands that had
        waited before."""
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            for number, (room, since) in self._late(self._flying, now - VERDICT_WITHIN_S):
                self._overdue[number] = (room, since)
            self._late(self._overdue, now - GIVEN_UP_S)
            for number in [number for number, (_, since) in self._waited.items() if since <= now - VERDICT_WITHIN_S]:
                self._tell(self._waited.pop(number)[0], Late(number))

    def _late(self, records: dict[int, tuple[Ref[Any], float]], before: float) -> list[tuple[int, tuple[Ref[Any], float]]]:
        late = []
        for number, (room, since) in records.items():
            if since > before:
                break
            late.append((number, (room, since)))
        for number, (room, _) in late:
            del records[number]
            self._tell(room, Overdue(number))
        return late

    def _tell(self, room: Ref[Any], message: Overdue | Late) -> None:
        with suppress(ActorStopped, MailboxFull):  # it answered its commands when it stopped
            room.send_nowait(message)
