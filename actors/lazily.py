"""Queues that begin when something comes: an empty deque takes 0.7 KB, and most of an idle connection's and its room's stay empty."""

from collections import deque
from typing import Any, Final, TypeVar

T = TypeVar("T")


class _Nothing(deque[Any]):
    """Empty for good: whoever adds to a queue begins it first."""

    def _refuse(self, *_: Any) -> None:
        raise TypeError("begin the queue first")

    append = appendleft = extend = extendleft = insert = _refuse


NOTHING: Final[deque[Any]] = _Nothing()
"""A queue that has not begun."""


def begun(queue: deque[T]) -> deque[T]:
    """The queue, to be added to."""
    return deque() if queue is NOTHING else queue
