"""Check docs/model/log.pml with spin: every interleaving of each run below, to the end. `make model`; the short runs are a test.

A run is a set-up of the model: which acts happen, how many repeats, crashes, moves, sleeps and dropped rows, and whether storing and
waking are one transaction (embedded) or go write by write and read by read (cluster). It passes when spin has seen every state, none
breaks an assertion, and whenever nothing more can happen, everything has been read, decided alike and stored.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

MODEL = Path(__file__).parents[1] / "docs/model/log.pml"
TABLE = Path(__file__).with_name("state_table.c")
MEMORY_MB = 6_000
DEPTH = 10_000
_COMPILE = ("-w", "-DSAFETY", "-DNOREDUCE", "-DHC4", f"-DMEMLIM={MEMORY_MB}")
"""HC4: of each state a hash of 8 bytes is kept, at a tenth of the memory; that two are alike and one is passed over is not to be expected."""

_STORE = "\nint\nh_store(char *vin, int nin)"
"""How the function begins in spin's program."""

MESSAGE, OTHER, EDIT, REMOVE, NEXT = (1 << act for act in range(1, 6))
TWO, FOUR, AFTER = MESSAGE | OTHER, MESSAGE | OTHER | EDIT | REMOVE, MESSAGE | OTHER | NEXT


class Run(NamedTuple):
    """A set-up of the model, and what it is for."""

    about: str
    acts: int
    most: int
    """Appends in all: acts, repeats, and what is appended again because it came back stale."""
    repeats: int = 0
    crashes: int = 0
    moves: int = 0
    sleeps: int = 0
    drops: int = 0
    ghosts: int = 0
    """1: what is about to be stored may be overtaken by what another node stores."""
    whole: int = 1
    """1: a step of storing is one transaction and waking one read; 0: they are not."""
    slots_log: int = 0
    """Where there are too many states for spin's own table: the binary logarithm of the slots of a smaller one, 5 bytes each."""

    def flags(self) -> list[str]:
        """For spin."""
        return [f"-D{name.upper()}={value}" for name, value in self._asdict().items() if name not in ("about", "slots_log")]


class Found(NamedTuple):
    """What came of a run: the violation (empty for none), whether every state was seen, how many there are, and seconds."""

    violation: str
    complete: bool
    states: int
    seconds: float


SHORT = (
    Run("all four acts, one repeated anywhere", FOUR, 4, repeats=1),
    Run("two senders, one repeat, a crash", TWO, 3, repeats=1, crashes=1),
    Run("a crash, with storage written and read bit by bit", MESSAGE | REMOVE, 2, crashes=1, ghosts=1, whole=0),
    Run("a sleep and a crash while a member is removed, bit by bit", REMOVE, 2, crashes=1, sleeps=1, ghosts=1, whole=0),
    Run("the room goes to the other worker and comes back", TWO, 2, moves=1, ghosts=1),
    Run("a message that names the one before it, and a repeat", AFTER, 4, repeats=1),
)
"""Together a minute."""

LONG = (
    Run("all four acts, stored by both nodes at once", FOUR, 4, ghosts=1),
    Run("two senders, an edit, a removed member, two repeats, stored by both nodes at once", FOUR, 6, repeats=2, ghosts=1),
    Run("two senders, an edit, a removed member, a crash, two repeats", FOUR, 4, repeats=2, crashes=1),
    Run("two senders, an edit, a removed member, a crash, stored by both nodes at once", FOUR, 4, crashes=1, ghosts=1),
    Run("two senders, two repeats, a crash, a sleep, a dropped row", TWO, 3, repeats=2, crashes=1, sleeps=1, drops=1),
    Run("two senders, a removed member, a crash, bit by bit", TWO | REMOVE, 3, crashes=1, ghosts=1, whole=0),
    Run("two senders, a repeat, a move and a crash, stored by both nodes at once", TWO, 3, repeats=1, crashes=1, moves=1, ghosts=1),
    Run("messages that name the one before, two repeats, a crash", AFTER, 4, repeats=2, crashes=1),
    Run("two senders, an edit, a removed member, a crash, two repeats, and an append more", FOUR, 5, repeats=2, crashes=1, slots_log=31),
)
"""For `make model`: minutes to hours each. The last one takes 11 GB."""

RULES: Mapping[int, tuple[str, Run]] = {
    1: ("stale entries are refused", Run("", FOUR, 4, repeats=1)),
    2: ("the stored place is read before the head", Run("", TWO, 3, crashes=1, whole=0)),
    3: ("old ids are looked up in storage", Run("", FOUR, 4, repeats=1)),
    4: ("but only once it has passed the horizon's place", Run("", FOUR, 4, repeats=1)),
    5: ("what is stored only moves forward", Run("", FOUR, 4, ghosts=1)),
    6: ("the place is stored last", Run("", TWO, 3, crashes=1, ghosts=1, whole=0)),
    7: ("the horizon is the latest time of the forgotten ids", Run("", FOUR, 4, repeats=1)),
    8: ("a command is answered by its own append", Run("", FOUR, 4, repeats=1)),
    9: ("a room does not wake from a tail that begins too late", Run("", TWO, 3, crashes=1, drops=1)),
    10: ("the same id with another content is no duplicate", Run("", FOUR, 4, repeats=1)),
    11: ("nor before the reader has what was acknowledged when it came", Run("", TWO, 3, crashes=1)),
    12: ("rights are decided by the log", Run("", FOUR, 4)),
    13: ("a message that names one that is not there has to wait", Run("", AFTER, 3)),
    14: ("members are written together with their head", Run("", REMOVE, 2, crashes=1, sleeps=1, ghosts=1, whole=0)),
}
"""By the number that leaves it out (`-DBUG=`): a rule, and a run that shows what it is for."""


def missing() -> str:
    """The program that is needed and not here; empty when all are."""
    return next((name for name in ("spin", "cc") if shutil.which(name) is None), "")


def check(run: Run, bug: int = 0, within_s: float = 36_000) -> Found:
    """Check one run; with a rule left out, what is to be found is found before a better compiled program would be there."""
    with tempfile.TemporaryDirectory() as folder:
        _call(["spin", "-a", f"-DBUG={bug}", *run.flags(), str(MODEL)], folder)
        table = _with_own_table(Path(folder), run.slots_log) if run.slots_log else ()
        _call(["cc", *_COMPILE, *table, "-O0" if bug else "-O2", "-o", "pan", "pan.c"], folder)
        began = time.monotonic()
        said = subprocess.run(["./pan", f"-m{DEPTH}", "-w22"], cwd=folder, capture_output=True, text=True, timeout=within_s, check=False).stdout
        return _judged(said, time.monotonic() - began)


def _with_own_table(folder: Path, slots_log: int) -> Sequence[str]:
    """Let what spin has written keep its states in our table; the flags to compile it with."""
    program = (folder / "pan.c").read_text()
    if program.count(_STORE) != 1:
        raise RuntimeError("this spin writes another program than ours: where it stores its states was not found")
    (folder / "pan.c").write_text(program.replace(_STORE, f'\n#include "{TABLE}"\n{_STORE.replace("h_store", "its_own_store")}'))
    return f"-DSLOTS_LOG={slots_log}", "-DNO_RESIZE"


def _call(command: Sequence[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _judged(said: str, seconds: float) -> Found:
    violation = re.search(r"^pan:\d+: (.*)", said, re.MULTILINE)
    states = re.search(r"(\d[\d.e+]*) states, stored", said)
    complete = "errors: 0" in said and "Search not completed" not in said and "max search depth too small" not in said
    return Found(violation[1] if violation else "", complete, int(float(states[1])) if states else 0, seconds)


def main(which: str = "long") -> int:
    """Check all runs and print what came of each."""
    if name := missing():
        print(f"`{name}` is needed: apt-get install spin gcc")
        return 2
    failed = 0
    for run in (*SHORT, *LONG) if which == "long" else SHORT:
        found = check(run)
        failed += not found.complete
        print(f"{'holds' if found.complete else found.violation or 'not seen to the end'}: {run.about}: {found.states:,} states, "
              f"{found.seconds:.0f} s", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
