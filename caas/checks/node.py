"""Checks of the workers that run here now, and of what dead ones left behind."""

import fcntl
import json
import os
from pathlib import Path

from caas.asking import ask_workers, sockets
from caas.canary import Song
from caas.checks.disk import in_folder
from caas.checks.model import Found, Ground, bad, doubtful, good, skipped
from protocol.errors import Refused
from storage.embedded.folder import FileLock, Folder
from supervisor.workers import NAME, RECORD

_STOPPED = {"T": "stopped", "t": "stopped by a debugger", "Z": "dead and not buried"}
_SLOW_S = 1.0


@in_folder
def run_folder(ground: Ground) -> Found:
    """`run/` can be written to, and holds nothing but what live workers have there."""
    folder = ground.config.data / "run"
    if not folder.exists():
        return good("there is none yet")
    if not os.access(folder, os.W_OK | os.X_OK):
        return bad(f"{folder} cannot be written to", f"chown {folder} to the user that the server runs as")
    living = alive(folder)
    stale = sorted(path.name for path in folder.iterdir() if path.suffix in (".sock", ".beat", ".ready") and path.stem not in living)
    if stale:
        left = ", ".join(stale[:5]) + (f" and {len(stale) - 5} more" if len(stale) > 5 else "")
        return doubtful(f"left behind by workers that are gone: {left}", f"harmless; to tidy up: cd {folder} && rm {' '.join(stale)}")
    return good(f"{len(living)} live workers, and nothing besides")


@in_folder
def locks(ground: Ground) -> Found:
    """Whoever writes gives the lock back: a worker that keeps it stops all others."""
    folder = Folder(ground.config.data)
    if not folder.writer_lock.exists():
        return good("nobody has ever written")
    try:
        lock = FileLock(folder.writer_lock)
    except OSError as error:
        return bad(f"{folder.writer_lock} cannot be opened: {error.strerror}", f"chown {folder.writer_lock} to the user that the server runs as")
    try:
        return good("the writer's lock is free, or given back") if ground.machine.soon(lambda: _free(lock)) else bad(
            "the writer's lock was held for five seconds", "see which worker hangs (`caas tree`), and kill it: the kernel frees the lock")
    finally:
        lock.close()


@in_folder
def workers(ground: Ground) -> Found:
    """Every worker that holds its place answers."""
    folder = ground.config.data / "run"
    living = alive(folder) if folder.is_dir() else {}
    if not living:
        return skipped("no worker runs on this data folder")
    still = [f"{name} (pid {pid}) is {_STOPPED[state]}" for name, pid in living.items() if (state := ground.machine.process_state(pid)) in _STOPPED]
    if still:
        return bad(", ".join(still), "kill -CONT it, or kill it: the others have its conversations, and it starts again")
    answers = ask_workers(folder, [name for name in sockets(folder) if name in living], ["tree"], 3.0)
    silent = [f"{name} (pid {pid})" for name, pid in living.items() if isinstance(answers.get(name, Refused("timeout")), Refused)]
    if silent:
        return bad(f"no answer from {', '.join(silent)}", "look at its log; kill it, and it starts again")
    return good(f"{', '.join(living)} answer")


@in_folder
def canary(ground: Ground) -> Found:
    """What the node says to itself comes back, all of it, once, in order and soon."""
    folder = ground.config.data / "run"
    living = alive(folder) if folder.is_dir() else {}
    if not living:
        return skipped("no worker runs on this data folder")
    answers = ask_workers(folder, [name for name in sockets(folder) if name in living], ["canary"], 3.0)
    songs = [Song(*answer) for answer in answers.values() if isinstance(answer, list)]
    if not songs:
        return skipped("no worker has one: CAAS_CANARY_S is 0, or none answers")
    return _judged(songs)


def _judged(songs: list[Song]) -> Found:
    rounds, failed, lost, disordered = (sum(figures) for figures in zip(*(song[:4] for song in songs), strict=True))
    said = f"{rounds} messages, {failed} failed, {lost} lost, {disordered} twice or out of order"
    if lost or disordered:
        return bad(said, "the log says which (`canary`); keep it and the data, run caas scrub, and tell us")
    if any(song.silent for song in songs):
        return bad(f"{said}; the last one failed", "the log says why (`canary`): sending fails for everybody, or in some conversations")
    half_s, most_s = max((song.half_s, song.most_s) for song in songs)
    if most_s > _SLOW_S:
        return doubtful(f"{said}; one in a hundred took {most_s:.1f} s until it was pushed",
                        "look at the disk (the check `sync`), and who else uses it")
    if not rounds:
        return good("it has not begun yet")
    return good(f"{said}; half were pushed within {half_s * 1000:.0f} ms, 99% within {most_s * 1000:.0f} ms")


def alive(folder: Path) -> dict[str, int]:
    """Workers that hold the lock of their file in `run/`, each with its process's id."""
    found = {}
    for path in sorted(folder.iterdir()):
        if NAME.fullmatch(path.name) and path.is_file() and (pid := _holder(path)):
            found[path.name] = pid
    return found


def _holder(path: Path) -> int:
    """The process that holds a worker's lock; 0 for none. Looking takes the lock for a moment: whoever wants it tries again."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(json.loads(file.read(RECORD)).get("pid", 0))
    except (OSError, ValueError):
        return 0
    return 0


def _free(lock: FileLock) -> bool:
    with lock.held_if_free() as mine:
        return mine
