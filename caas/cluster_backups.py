"""A cluster's backup is a file of the embedded kind: MongoDB as it is at one moment, while nodes serve, made whole before it is kept.

The moment may lie in the middle of a step of storing. What the stored places cover is whole, so entries beyond them are left out, and what
follows from entries is made anew from those that are left. So the file can be restored on a cluster, and on one machine too.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from caas.config import Config
from caas.move import Moved, move_setup
from caas.offline import run
from caas.rebuild import rebuilt
from storage.embedded.backup import State, back_up, examine
from storage.embedded.moving import EmbeddedTarget
from storage.failing import Unfit
from storage.ports.entry import NOWHERE, Place
from storage.ports.moving import Entry, Source

_MS = 1_000


def back_up_cluster(config: Config, to: Path) -> State:
    """Copy what a cluster has stored into a file. Raises Unfit, StorageError, sqlite3.Error, OSError; then there is no file."""
    from caas.cluster import open_moment

    if to.exists():
        raise Unfit(f"{to} exists: a backup does not replace another")
    with _beside(to) as folder:
        with open_moment(config) as moment:
            _copy(moment, EmbeddedTarget(folder))
            partitions = moment.setup().partitions
        run(lambda: rebuilt(replace(config, backend="embedded", data=folder, partitions=partitions)))
        return back_up(folder, to)


def restore_cluster(config: Config, backup: Path) -> tuple[State, Moved]:
    """Make a set-up of a backup, where there is none. Its epoch is one that no client has seen: each is told (`gap`) that entries may be lost.

    Raises Unfit where there is one, or when the backup is damaged; StorageError, sqlite3.Error, OSError."""
    examine(backup)
    with _beside(backup) as folder:
        own_file, kept_uri = folder / "caas.sqlite", f"{backup.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(kept_uri, uri=True)) as kept, closing(sqlite3.connect(own_file)) as own:
            kept.backup(own)
            with own:
                own.execute("UPDATE settings SET value = max(value + 1, ?) WHERE name = 'epoch'", (int(time.time() * _MS),))
        state = examine(own_file)
        return state, move_setup(replace(config, backend="embedded", data=folder, partitions=state.settings.partitions), config)


def _copy(moment: Source, target: EmbeddedTarget) -> None:
    places = moment.places()
    target.begin(moment.setup())
    target.put_entries(_covered(moment.entries(), places))
    target.put_documents(moment.documents())
    target.finish(places)


def _covered(entries: Iterator[Entry], places: Mapping[int, Place]) -> Iterator[Entry]:
    return (entry for entry in entries if entry.place <= places.get(entry.partition, NOWHERE))


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """A folder on the disk that the file is on: there is room for one, so there should be for two."""
    with TemporaryDirectory(dir=file.absolute().parent, prefix=f".{file.name}-") as name:
        yield Path(name)
