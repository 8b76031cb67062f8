"""What goes wrong with a disk under a whole server at work: it is full, it fails to write, its bits rot."""

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import trio

from storage.embedded.folder import Folder
from storage.embedded.scrub import scrub
from tests.faults.stage import Stage, all_serve, until

DISK_BYTES = 48 * 1024 * 1024
CHUNK = 65_536


class CannotHere(Exception):
    """What this needs is not to be had on this machine, and why."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few MB. Raises CannotHere where none may be mounted."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        raise CannotHere(f"a small disk cannot be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def fill(stage: Stage, disk: Path, chance: random.Random, within_s: float) -> float:
    """Leave no byte free, at a random instant, until clients were refused and for up to a second more. Seconds until all were back."""
    await trio.sleep(chance.uniform(0.2, 1.0))
    filler, refused = disk / "filler", stage.refused("storage_full")
    with filler.open("ab", buffering=0) as out:
        for size in (CHUNK, 512):
            try:
                while out.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
        await until(lambda: stage.refused("storage_full") > refused, within_s)
        await trio.sleep(chance.uniform(0.0, 1.0))
    filler.unlink()
    return await stage.all_are_back(trio.current_time(), within_s)


STRACE = ("strace", "-f", "-qq", "-o", "/dev/null")


def can_inject() -> bool:
    """Whether system calls of other processes can be made to fail here."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run([*STRACE, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", sys.executable, "-c", "import os; os.fdatasync(1)"],
                           capture_output=True)
    return b"OSError" in tried.stderr


@asynccontextmanager
async def failing(pid: int, calls: str) -> AsyncIterator[None]:
    """Every one of these calls of a process and its threads fails with EIO from here on, while it lives."""
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO", "-p", str(pid)]
    process = await trio.lowlevel.open_process(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = (await process.stderr.receive_some()).decode()
    if "attached" not in said:
        await process.wait()
        raise CannotHere(f"system calls cannot be made to fail: {said.strip()}")
    try:
        yield
    finally:
        process.kill()  # asked kindly it may wait for ever for a process that has died under it, and nobody else is told of the death
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            await process.wait()
        await process.stderr.aclose()


async def fail_writes(stage: Stage, calls: str, chance: random.Random, within_s: float) -> float:
    """The disk of one worker fails at a random instant, until that worker has ended. Seconds until all were back, on a disk that is well.
    Where it fails to sync, the others end too."""
    await trio.sleep(chance.uniform(0.2, 1.0))
    victim = chance.choice(stage.server.pids())
    since = trio.current_time()
    stage.history.blow(f"the disk of process {victim}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell_who_ends, stage, frozenset(stage.server.pids()))
        async with failing(victim, calls):
            await until(lambda: victim not in stage.server.pids(), within_s)
        took = await stage.all_are_back(since, within_s)
        await all_serve(stage)
        nursery.cancel_scope.cancel()
    return took


async def _tell_who_ends(stage: Stage, live: frozenset[int]) -> None:
    while True:
        for pid in live - (now := frozenset(stage.server.pids())):
            stage.history.blow(f"process {pid}, by its disk or by what another has found out about it")
        live = now
        await trio.sleep(0.02)


def rot(data: Path, chance: random.Random, times: int) -> list[str]:
    """Flip a bit of an entry in a data folder that nobody uses, look, and mend it; `times`. Those that were not found, or found elsewhere."""
    missed = [str(spot) for spot in scrub(data).spots]
    with closing(sqlite3.connect(Folder(data).database, isolation_level=None)) as connection:
        places = [place for (place,) in connection.execute("SELECT place FROM log")]
        for place in chance.choices(places, k=times):
            (whole,) = connection.execute("SELECT data FROM log WHERE place = ?", (place,)).fetchone()
            bit = chance.randrange(len(whole) * 8)
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            connection.execute("UPDATE log SET data = ? WHERE place = ?", (bytes(flipped), place))
            spots = scrub(data).spots
            connection.execute("UPDATE log SET data = ? WHERE place = ?", (whole, place))
            if not any(f"place {place}," in spot.where for spot in spots):
                missed.append(f"bit {bit} of the entry at place {place} was flipped, and nobody noticed: {spots}")
    return missed
