"""`caas rebuild`: everything that follows from the stored entries is taken away, and made anew from them."""

from collections.abc import Callable
from typing import cast

import trio
from msgspec.structs import replace

from actors.rebuilding import FOLLOWS_FROM_THE_LOG, Broken, Forgets, Rebuilding
from caas.config import Config
from caas.offline import EXPECTED, see_nobody_serves
from caas.options import Mistake
from caas.rebuilding import mark
from caas.wiring import open_backend
from caas.world import SystemWorld
from services.catalogue import KINDS
from services.kinds import parts_of
from storage.embedded.database import partitions_of
from storage.failing import Unfit
from storage.ports.errors import StorageError


def rebuild(config: Config) -> int:
    """Rebuild, saying how far it has come; the exit code. Raises Mistake where it cannot be begun."""
    if config.backend == "embedded" and not (config.data / "caas.sqlite").exists():
        raise Mistake(f"{config.data} holds no set-up: name its folder with --data")
    try:
        see_nobody_serves(config)
    except EXPECTED as error:
        raise SystemExit(f"caas: it cannot be seen whether somebody serves: {error}") from None
    try:
        trio.run(_rebuild, replace(config, partitions=(partitions_of(config.data) if config.backend == "embedded" else None) or config.partitions))
    except* (Broken, StorageError, Unfit, trio.TooSlowError) as group:
        raise SystemExit(f"caas: the rebuild is not finished, and nobody can serve until it is: {_first(group)}") from None
    return 0


async def _rebuild(config: Config) -> None:
    rebuilding = await rebuilt(config, lambda partition, partitions, entries: print(
        f"\rpartition {partition} of {partitions}: {entries} entries", end="", flush=True))
    print(f"\nrebuilt what follows from {rebuilding.entries} entries of {rebuilding.conversations} conversations")


async def rebuilt(config: Config, tell: Callable[[int, int, int], None] = lambda partition, partitions, entries: None) -> Rebuilding:
    """Make anew what follows from the entries of a set-up on which nobody is at work. Raises Broken, StorageError, Unfit."""
    async with open_backend(config, SystemWorld(), serves=False) as backend:
        await mark(backend.documents, begun=True)
        await cast(Forgets, backend.documents).forget(FOLLOWS_FROM_THE_LOG)
        rebuilding = Rebuilding(backend.log, backend.documents, parts_of(KINDS), KINDS)
        for partition in range(backend.log.partitions):
            await rebuilding.partition(partition)
            tell(partition + 1, backend.log.partitions, rebuilding.entries)
        await mark(backend.documents, begun=False)
    return rebuilding


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
