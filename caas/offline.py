"""What is done to a set-up while nobody serves it: that nobody does, where it lies, and that all of its log is stored."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import trio

from caas.checks.node import alive
from caas.config import Config
from caas.options import Mistake
from caas.rebuilding import refuse_half_rebuilt
from caas.settling import store_all
from caas.wiring import open_backend
from caas.world import SystemWorld
from storage.embedded.moving import EmbeddedSource
from storage.failing import Fatal, Unfit
from storage.ports.errors import StorageError
from storage.ports.moving import Source

T = TypeVar("T")
EXPECTED = (Unfit, StorageError, Fatal, trio.TooSlowError, OSError)
"""What may go wrong. What engines' drivers raise is told as Unfit by `telling`."""
_WAIT_S = 20


def see_nobody_serves(config: Config) -> None:
    """Raises Mistake. A node that was killed counts for some seconds more."""
    for left in range(_WAIT_S, -1, -1):
        if not (living := _living(config)):
            return
        if left:
            time.sleep(1)
    raise Mistake(f"{', '.join(living)} still serve this set-up: stop them first")


def _living(config: Config) -> list[str]:
    folder = config.data / "run"
    here = sorted(alive(folder)) if folder.is_dir() else []
    if config.backend == "embedded" or here:
        return here
    from caas.cluster import nodes_at_work

    return nodes_at_work(config)


@contextmanager
def opened(config: Config) -> Iterator[Source]:
    """Where the set-up lies. Raises Unfit where there is none."""
    if config.backend == "embedded":
        found = EmbeddedSource(config.data)
        try:
            yield found
        finally:
            found.close()
        return
    from caas.cluster import open_source

    with open_source(config) as source:
        yield source


def store_rest(config: Config) -> None:
    """Store what its log still holds. Raises Unfit, StorageError."""

    async def store() -> None:
        async with open_backend(config, SystemWorld(), serves=False) as backend:
            await refuse_half_rebuilt(backend.documents)
            await store_all(backend.log, backend.documents)

    run(store)


def see_all_stored(source: Source) -> None:
    """Raises Unfit."""
    if left := source.unstored():
        raise Unfit(f"{left} entries are not stored: something still runs on this set-up")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """On trio; of several things that went wrong, the first."""
    try:
        return trio.run(work)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
