"""What the log of the cluster rests on besides Kafka."""

from collections.abc import Collection, Sequence
from typing import Protocol

from storage.ports.entry import Place
from storage.ports.log import Entries, Loaded, Stored, Storing
from storage.ports.scope import Tenanted


class MadeAs(Protocol):
    """What the set-up is."""

    @property
    def partitions(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def epoch(self) -> int: ...


class Keeps(Entries, Protocol):
    """Where stored entries, heads, parts and places are kept: that part of the port Log."""

    async def stored_places(self) -> dict[int, Place]: ...

    async def store(self, step: Storing) -> None: ...

    async def load(self, scope: Tenanted, conversation: str, partition: int) -> Loaded: ...

    async def stored_after(self, partition: int, after: Place, limit: int) -> Sequence[Stored]: ...


class Shares(Protocol):
    """How storing is divided over the nodes."""

    @property
    def ours(self) -> Collection[int] | None:
        """The partitions that this node is to store just now; None while nobody has said: then all that it follows."""
        ...
