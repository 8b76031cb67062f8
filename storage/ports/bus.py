"""The bus: what need not last, between nodes. It may lose, it never reorders what one publisher says on one topic."""

from collections.abc import Callable
from typing import Protocol


class Bus(Protocol):
    """Two methods."""

    def publish(self, topic: str, message: bytes) -> None:
        """Tell everybody who listens on the topic, ourselves included. Never waits; drops when its buffer is full."""
        ...

    def subscribe(self, topic: str, handle: Callable[[bytes], None]) -> Callable[[], None]:
        """Have `handle` called for each message; the result ends it. `handle` must not wait and must not raise."""
        ...
