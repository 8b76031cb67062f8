"""A bounded cache: what was used lately stays, in two generations."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `most` values. Using one keeps it; when the young half is full it becomes the old one, and what was old is forgotten.

    Cheaper than moving an item on each use, and as bounded.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, or None."""
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember it."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def forget(self, key: K) -> None:
        """As if it had never been put."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def forget_where(self, matches: Callable[[V], bool]) -> None:
        """Forget every value that matches."""
        for part in (self._young, self._old):
            for key in [key for key, value in part.items() if matches(value)]:
                del part[key]

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
