"""Having everything: holes that are filled, heads that pushes have not reached, gaps that nobody can fill. Pure.

On a live connection nothing is skipped; but nothing between the log and the client is trusted to be reliable, and nothing needs to be.
"""

from collections.abc import Callable, Mapping
from typing import Any

from caas_sdk import protocol
from caas_sdk.core.outbox import Call, Kind
from caas_sdk.core.stream import Push, Stream

Ask = Callable[[str, dict[str, Any], Kind], Call]


class CatchingUp:
    """Brings streams up to their heads. What it needs of the client's state is handed in."""

    def __init__(self, ask: Ask, *, stream: Callable[[str], Stream | None], apply: Callable[[str, Push], None],
                 missed: Callable[[str, Mapping[str, int], int], None], refuse: Callable[[str, str], None]) -> None:
        self._ask, self._stream, self._apply, self._missed, self._refuse = ask, stream, apply, missed, refuse
        self._behind: dict[str, tuple[int, float]] = {}

    def cut(self) -> None:
        """The connection is lost: the next one resumes."""
        self._behind.clear()

    def heads(self, epoch: int, heads: Mapping[str, int], now: float) -> None:
        """The server tells how far conversations are; pushes may still be on their way."""
        for c, head in heads.items():
            stream = self._stream(c)
            if stream is None or stream.seq is None:
                continue
            if epoch != stream.epoch:
                self.repair(c, stream)
            elif stream.seq < head:
                self._behind[c] = (head, now + protocol.HEADS_GRACE_S)

    def take(self, c: str, push: Push) -> None:
        """A durable push: what is due by it is applied, and what is missing before it asked for."""
        stream = self._stream(c)
        if stream is not None:
            for ready in stream.take(push):
                self._apply(c, ready)
            self.look_for_hole(c, stream)

    def look_for_hole(self, c: str, stream: Stream) -> None:
        """Ask for what is missing, where something later has come."""
        if stream.hole:
            self.repair(c, stream)

    def repair(self, c: str, stream: Stream) -> None:
        """Ask for everything after the last seq."""
        if not stream.repairing and stream.seq is not None:
            stream.repairing = True
            p = {"c": c, "after": stream.seq, "epoch": stream.epoch}
            self._ask("conversation.sync", p, "bound").then(lambda call: self._synced(c, stream, call))

    def tick(self, now: float) -> None:
        """Heads that no push has reached by now."""
        for c, (head, at) in list(self._behind.items()):
            if now >= at:
                del self._behind[c]
                stream = self._stream(c)
                if stream is not None and (stream.seq or 0) < head:
                    self.repair(c, stream)

    def next_at(self) -> float | None:
        """When to look again."""
        return min((at for _, at in self._behind.values()), default=None)

    def _synced(self, c: str, stream: Stream, call: Call) -> None:
        if stream is not self._stream(c):
            return
        stream.repairing = False
        if call.error is not None:
            if call.error.code != "disconnected":
                self._refuse(c, call.error.code)
            return
        if gap := call.result.get("gap"):
            self._missed(c, gap, call.result["epoch"])
        stream.epoch = call.result["epoch"]
        before = stream.seq
        for push in call.result["entries"]:
            for ready in stream.take({**push, "c": c}):
                self._apply(c, ready)
        for ready in stream.drain():
            self._apply(c, ready)
        if stream.hole or (call.result.get("more") and stream.seq != before):
            self.repair(c, stream)
