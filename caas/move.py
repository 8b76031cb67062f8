"""`caas move`: a set-up from one backend to the other, with its ids, seqs and epoch. Clients go on where they were."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import trio
from cyclopts import Parameter
from msgspec.structs import replace

from caas.checks.node import alive
from caas.config import Config
from caas.options import ConfigFile, Data, Mistake, config_of
from caas.settling import store_all
from caas.terminal import console
from caas.wiring import open_backend
from caas.world import SystemWorld
from storage.embedded.moving import EmbeddedSource, EmbeddedTarget
from storage.failing import Fatal, Unfit
from storage.ports.errors import StorageError
from storage.ports.moving import Source, Target

T = TypeVar("T")
Kind = Literal["embedded", "cluster"]
_WAIT_S = 20
_NODE = "move"
"""Our name among the nodes, of which there must be no other."""


class Moved(NamedTuple):
    """How much it was."""

    entries: int
    documents: int


def move(*, from_: Annotated[Kind, Parameter(name="--from")], to: Annotated[Kind, Parameter(name="--to")], data: Data = None,
         config: ConfigFile = None) -> int:
    """Move a set-up to the other backend. Nothing may be running on it. Ids, seqs and the epoch stay: clients resume where they were.

    The master key stays in the data folder; give every node of a cluster the same. What was moved is left behind and cannot be started again by
    mistake: moved.sqlite in the data folder, or a set-up in MongoDB that says where it has gone."""
    if from_ == to:
        raise Mistake("it can be moved from one backend to the other: name two")
    source, target = (config_of(config, data=data, backend=kind, node=_NODE) for kind in (from_, to))
    try:
        moved = move_setup(source, target)
    except (Unfit, StorageError, Fatal, trio.TooSlowError, OSError) as error:
        raise SystemExit(f"caas: nothing was moved: {error or type(error).__name__}") from None
    console().print(f"moved {moved.entries:,} entries and {moved.documents:,} documents; start it with CAAS_BACKEND={to}")
    return 0


def move_setup(source: Config, target: Config) -> Moved:
    """From where the one configuration says to where the other does. Raises Mistake, Unfit, StorageError."""
    _see_nobody_runs(source)
    with ExitStack() as stack:
        from_ = _source(source, stack)
        _store_all(replace(source, partitions=from_.setup().partitions))
        _see_all_stored(from_)
        to, entries, documents = _target(target, stack), _Counted(from_.entries()), _Counted(from_.documents())
        to.begin(from_.setup())
        to.put_entries(entries)
        to.put_documents(documents)
        _see_all_stored(from_)
        to.finish(from_.places())
        from_.leave("in MongoDB and Kafka" if target.backend == "cluster" else f"in {target.data.absolute()}")
    return Moved(entries.count, documents.count)


class _Counted:
    """Counts what goes through."""

    def __init__(self, things: Iterable[Any]) -> None:
        self._things, self.count = things, 0

    def __iter__(self) -> Iterator[Any]:
        for thing in self._things:
            self.count += 1
            yield thing


def _see_nobody_runs(config: Config) -> None:
    """Of a node that has just been stopped it is said for up to 15 s that it lives."""
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
    from caas.cluster import living

    return living(config, SystemWorld().clock.now_ms())


def _see_all_stored(source: Source) -> None:
    if left := source.unstored():
        raise Unfit(f"{left} entries are not stored: something still runs on this set-up")


def _store_all(config: Config) -> None:
    async def store() -> None:
        async with open_backend(config, SystemWorld()) as backend:
            await store_all(backend.log, backend.documents)

    try:
        trio.run(store)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _source(config: Config, stack: ExitStack) -> Source:
    if config.backend == "embedded":
        found = EmbeddedSource(config.data)
        stack.callback(found.close)
        return found
    from caas.cluster import engines_of
    from storage.cluster.mongo import make_client
    from storage.cluster.moving import WITHIN_S, ClusterSource

    engines = engines_of(config)
    return ClusterSource(stack.enter_context(make_client(engines.mongo, WITHIN_S)), engines.database, engines.kafka)


def _target(config: Config, stack: ExitStack) -> Target:
    if config.backend == "embedded":
        return EmbeddedTarget(config.data)
    from caas.cluster import engines_of
    from storage.cluster.mongo import make_client
    from storage.cluster.moving import WITHIN_S, ClusterTarget

    engines = engines_of(config)
    return ClusterTarget(stack.enter_context(make_client(engines.mongo, WITHIN_S)), engines.database, engines.kafka)
