"""`caas backup`, `caas restore`, `caas scrub`. Of a cluster what MongoDB keeps is backed up, and is restored where there is nothing yet."""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from actors.rebuilding import Broken
from caas.checks.node import alive
from caas.cluster_backups import back_up_cluster, restore_cluster
from caas.config import Config
from caas.offline import EXPECTED
from caas.options import ConfigFile, Data, Json, Mistake, config_of
from caas.terminal import print_json, print_pairs
from storage.embedded.backup import State, back_up
from storage.embedded.backup import restore as put_back
from storage.embedded.scrub import scrub as look

T = TypeVar("T")
SHOWN = 20


def backup(to: Path, *, json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Copy log and documents of one moment into a file, while the server runs. `master.key` is not in it: keep that apart, and safe."""
    given = config_of(config, data=data)
    state = _done(lambda: back_up(given.data, to) if given.backend == "embedded" else back_up_cluster(given, to))
    if state is None:
        return 1
    _say({"backup": str(to), **_shown(state), "bytes": to.stat().st_size}, json)
    return 0


def restore(source: Path, *, json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Put a backup in the place of the data; the server must be stopped. What was there is kept aside. Clients are told what is lost.

    On a cluster: into a set-up that is not there yet."""
    given = config_of(config, data=data)
    if given.backend == "cluster":
        return _restore_cluster(given, source, json)
    folder = given.data
    if (folder / "run").is_dir() and (living := alive(folder / "run")):
        raise Mistake(f"{len(living)} workers are running on {folder}: stop the server first")
    restored = _done(lambda: put_back(folder, source))
    if restored is None:
        return 1
    before = {"entries before": restored.before.entries} if restored.before else {}
    _say({"restored": str(source), **_shown(restored.state), **before, "entries may be lost": restored.lost,
          "what was there": str(restored.aside or "nothing")}, json)
    return 0


def _restore_cluster(config: Config, source: Path, json: bool) -> int:
    restored = _done(lambda: restore_cluster(config, source))
    if restored is None:
        return 1
    state, moved = restored
    _say({"restored": str(source), **_shown(state), "entries": moved.entries, "documents": moved.documents, "entries may be lost": True}, json)
    return 0


def scrub(*, json: Json = False, data: Data = None, config: ConfigFile = None) -> int:
    """Read every entry and document, and say which are not what was written. Changes nothing; the server may be running."""
    found = _done(lambda: look(_embedded(config_of(config, data=data)).data))
    if found is None:
        return 1
    if json:
        print_json({"entries": found.entries, "stored": found.stored, "documents": found.documents,
                    "damaged": [spot._asdict() for spot in found.spots]})
    else:
        print_pairs({"entries": found.entries, "stored": found.stored, "documents": found.documents, "damaged": len(found.spots)})
        for spot in found.spots[:SHOWN]:
            print(f"  {spot.where}: {spot.what}")
    return 1 if found.spots else 0


def _embedded(config: Config) -> Config:
    if config.backend != "embedded":
        raise Mistake("a cluster is scrubbed by its engines: validate() in MongoDB; nodes look at each entry's checksum as they read it")
    return config


def _done(work: Callable[[], T]) -> T | None:
    """What came of it; None where it could not be done, and why has been said."""
    try:
        return work()
    except (*EXPECTED, Broken, sqlite3.Error) as error:
        print(f"caas: {error or type(error).__name__}", file=sys.stderr)
        return None


def _shown(state: State) -> dict[str, object]:
    return {"entries": state.entries, "epoch": state.settings.epoch, "generation": state.settings.generation}


def _say(said: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json({name.replace(" ", "_"): value for name, value in said.items()})
    else:
        print_pairs({name: str(value) for name, value in said.items()})
