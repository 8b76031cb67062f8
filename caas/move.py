"""`caas move`: a set-up from one backend to the other, with its ids, seqs and epoch. Clients go on where they were."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter
from msgspec.structs import replace

from caas.config import Config
from caas.offline import EXPECTED, opened, see_all_stored, see_nobody_serves, store_rest
from caas.options import ConfigFile, Data, Mistake, config_of
from caas.terminal import console
from storage.embedded.moving import EmbeddedTarget
from storage.ports.moving import Target

Kind = Literal["embedded", "cluster"]
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
    except EXPECTED as error:
        raise SystemExit(f"caas: nothing was moved: {error or type(error).__name__}") from None
    console().print(f"moved {moved.entries:,} entries and {moved.documents:,} documents; start it with CAAS_BACKEND={to}")
    return 0


def move_setup(source: Config, target: Config) -> Moved:
    """From where the one configuration says to where the other does. Raises Mistake, and what is EXPECTED."""
    see_nobody_serves(source)
    with opened(source) as from_, _target(target) as to:
        store_rest(replace(source, partitions=from_.setup().partitions))
        see_all_stored(from_)
        entries, documents = _Counted(from_.entries()), _Counted(from_.documents())
        to.begin(from_.setup())
        to.put_entries(entries)
        to.put_documents(documents)
        see_all_stored(from_)
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


def _target(config: Config) -> AbstractContextManager[Target]:
    if config.backend == "embedded":
        return nullcontext(EmbeddedTarget(config.data))
    from caas.cluster import open_target

    return open_target(config)
