"""The durable pushes of one conversation, put in order: 1, 2, 3, without a hole. Only they move the last seq. Pure."""

from collections.abc import Mapping
from typing import Any

Push = Mapping[str, Any]

MOST_EARLY = 1_000
"""Pushes kept while what comes before them is asked for; further ones are asked for as well."""


class Stream:
    """Where one is in a conversation: what `resume` says."""

    def __init__(self) -> None:
        self.seq: int | None = None
        """The last seq; None until the conversation is watched."""
        self.epoch = 0
        self.repairing = False
        self._early: dict[int, Push] = {}

    @property
    def hole(self) -> bool:
        """Whether something later has come, and what is before it has not."""
        return bool(self._early)

    @property
    def resume(self) -> dict[str, int]:
        """As `hello` and `conversation.watch` want it."""
        return {"seq": self.seq or 0, "epoch": self.epoch}

    def begin(self, head: int, epoch: int) -> None:
        """Pushes will come after this head."""
        self.seq, self.epoch = head, epoch
        self._early.clear()

    def skip_to(self, seq: int) -> None:
        """What is up to here will not come any more: pushes go on after it. In another epoch that may lie further back."""
        self.seq = seq
        self._early = {s: push for s, push in self._early.items() if s > seq}

    def interrupt(self) -> None:
        """The connection is lost: what came too early comes again."""
        self.repairing = False
        self._early.clear()

    def take(self, push: Push) -> list[Push]:
        """The pushes that may be applied now, in order: none for a repeat, or while there is a hole before it."""
        s = push["s"]
        if self.seq is None or s <= self.seq:
            return []
        if s == self.seq + 1 or len(self._early) < MOST_EARLY:
            self._early[s] = push
        return self.drain()

    def drain(self) -> list[Push]:
        """What has come early and can be applied now."""
        ready: list[Push] = []
        while self.seq is not None and (push := self._early.pop(self.seq + 1, None)) is not None:
            self.seq += 1
            ready.append(push)
        return ready
