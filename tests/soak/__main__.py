"""`make soak MINUTES=60`: everything that can go wrong, in turn, for as long as is given; and a report of what was lost: nothing.

The report is a file (`--report`, data/soak.md); the exit code is 1 where anything was lost, doubled, reordered, or did not go as it should.
What failed keeps its data, history and server's log.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stdout
from itertools import count
from pathlib import Path

from tests.faults.disk import CannotHere
from tests.soak.report import Round, Soak
from tests.soak.rounds import ROOT, ROUNDS

CLUSTER = "SIGKILLs and SIGSTOPs in a cluster"
CLUSTER_MINUTES, CLUSTER_LAPS = 5, 3
"""What one round of it may take, and once in how many laps through all the rounds there is one."""


def main() -> int:
    """Soak for so long."""
    given = arguments()
    soak, seed = Soak(0 if given.only else given.minutes), given.seed
    given.report.parent.mkdir(parents=True, exist_ok=True)
    if given.only:
        do(soak, given.only, seed)
    for lap in count() if not given.only else ():
        for name in ROUNDS:
            if name not in soak.left_out and left_s(soak) > 0 and (name != CLUSTER or has_turn(soak, lap)):
                do(soak, name, seed)
                given.report.write_text(soak.markdown(ROOT))  # whoever ends it early has what was done by then
                seed += 1_000
        if left_s(soak) <= 0:
            break
    if CLUSTER not in {one.what for one in soak.rounds} and not given.only:
        soak.left_out.setdefault(CLUSTER, f"a round of it takes up to {CLUSTER_MINUTES} minutes, and there was no time for one")
    given.report.write_text(soak.markdown(ROOT))
    print(f"losses: {len(soak.losses)}, failures: {len(soak.failures)}; the report is {given.report}")
    return 1 if soak.losses or soak.failures or not soak.rounds else 0


def left_s(soak: Soak) -> float:
    """Seconds of what was given."""
    return soak.minutes * 60 - (time.time() - soak.began)


def has_turn(soak: Soak, lap: int) -> bool:
    """Whether a cluster is started in this lap."""
    return lap % CLUSTER_LAPS == 0 and left_s(soak) >= CLUSTER_MINUTES * 60


def do(soak: Soak, name: str, seed: int) -> None:
    """One round, whatever comes of it."""
    one, folder = Round(name, seed), Path(tempfile.mkdtemp(prefix="caas-soak-"))
    try:
        with (folder / "said.txt").open("w") as out, redirect_stdout(out):
            ROUNDS[name](one, folder)
    except CannotHere as why:
        soak.left_out[name] = str(why)
        shutil.rmtree(folder, ignore_errors=True)
        return
    except Exception as error:
        traceback.print_exc()
        one.wrong.append(f"{name}, seed {seed}: {''.join(traceback.format_exception_only(error)).strip()[:2000]}")
    one.took_s = time.time() - one.began
    soak.rounds.append(one)
    if one.lost or one.wrong:
        print(f"{name}, seed {seed}: {one.verdict}; what it left is in {folder}", flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(soak.line(), flush=True)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("minutes", nargs="?", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="of the first round; each later one adds 1,000")
    parser.add_argument("--only", choices=list(ROUNDS), help="one round of this kind")
    parser.add_argument("--report", type=Path, default=ROOT / "data/soak.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
