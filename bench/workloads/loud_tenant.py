"""A loud tenant beside a quiet one: what does the quiet one notice when the other sends many times what it may?

Ours alone, with its limits on. Each of the loud tenant's users sends ten times a user's allowance; what is too much is refused. The quiet
one is measured alone and beside it, in turn; the verdict is the median over these pairs: its p99 is at most half as late again, or 5 ms later,
and it meets no error (docs/guarantees.md).
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.generate import Pace, cores, merged
from bench.lab import Lab, Measured, Paired, Row, Stage, broken, percentiles
from bench.servers.kinds import OURS
from bench.servers.ours import Ours, OwnChild

QUIET, LOUD = 0, 1
OF_ONE_ADDRESS = 10
"""Connections. The door lets only so many in from each, so many a second, and so many whom it does not know yet."""


class Plan(NamedTuple):
    """How much. A room has two members, one of whom sends."""

    quiet_rooms: int
    quiet_rate: float
    loud_rooms: int
    loud_rate: float
    seconds: float
    pairs: int = 1


TINY = Plan(2, 10, 2, 100, 1.0)
SHORT = Plan(10, 40, 20, 2_000, 2.0, pairs=3)
FULL = Plan(10, 40, 20, 2_000, 6.0, pairs=5)
TIMES, LATER_MS = 1.5, 5.0
"""The quiet one's p99 may be by so much later."""


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Alone, then side by side."""
    if not lab.present([OURS]):
        return
    folder = lab.fresh()
    with lab.stage(OwnChild(folder, cores()[0], limits="on")) as stage:
        quiet = stage.target
        assert isinstance(quiet, OwnChild)
        loud = Ours(quiet.server.base, _application(folder / "data"))
        stage.generator.speak(quiet.dialect, quiet.host, quiet.port, per_address=OF_ONE_ADDRESS)
        lab.tell("loud_tenant: both enter")
        for target, rooms, flow in ((quiet, plan.quiet_rooms, QUIET), (loud, plan.loud_rooms, LOUD)):
            stage.generator.open(_enter(stage, target, rooms, flow), at_once=OF_ONE_ADDRESS)
        loud.stop()
        lab.tell("loud_tenant: the quiet one alone, then beside the loud one")
        alone, beside = list[Measured](), list[Measured]()
        for _ in range(plan.pairs):
            alone.append(stage.measure(plan.seconds, {QUIET: Pace(rate=plan.quiet_rate)}))
            beside.append(stage.measure(plan.seconds, {QUIET: Pace(rate=plan.quiet_rate), LOUD: Pace(rate=plan.loud_rate)}))
        paired = Paired([one.ran.flows[QUIET].answer for one in alone], [one.ran.flows[QUIET].answer for one in beside])
        verdict = broken({"% of the quiet one's p99 alone": (paired.slower_than(TIMES, LATER_MS), 100 * paired.times)})
        loudness = {"p99, times that alone": paired.times, **_loudness(beside, plan)}
        for case, turns, more, faults in (("alone", alone, {}, {}), ("beside the loud one", beside, loudness, verdict)):
            said = merged(one.ran.flows[QUIET].answer for one in turns)
            yield Row("loud_tenant", f"a quiet tenant {case}", OURS, quiet.durability,
                      {"quiet sends/s": plan.quiet_rate, **percentiles(said), **more}, {f"answer, {case}": said}, {**_faults(turns), **faults})


def _application(data: Path) -> str:
    """Another tenant, and its secret key."""
    made = subprocess.run([sys.executable, "-m", "caas", "app", "create", "Loud", "--json", "--data", str(data)], capture_output=True, text=True,
                          check=True)
    return str(json.loads(made.stdout)["secret"])


def _enter(stage: Stage, target: Ours, rooms: int, flow: int) -> range:
    kept, stage.target = stage.target, target
    try:
        entered = [stage.join(f"room-{number}", [f"one-{number}", f"other-{number}"], flow=flow) for number in range(rooms)]
    finally:
        stage.target = kept
    return range(entered[0].start, entered[-1].stop)


def _loudness(turns: Sequence[Measured], plan: Plan) -> dict[str, float]:
    sent, refused = sum(one.ran.flows[LOUD].sent for one in turns), sum(one.ran.flows[LOUD].refused for one in turns)
    return {"loud sends/s": sent / plan.seconds / len(turns), "of them refused": refused / sent if sent else 0.0}


def _faults(turns: Sequence[Measured]) -> dict[str, int]:
    """The quiet one's. What of the loud one's was refused leaves gaps, and that is right."""
    found = Counter[str]()
    for one in turns:
        quiet = one.ran.flows[QUIET]
        found.update({"gaps": quiet.gaps, "doubles": quiet.doubles, "disorder": quiet.disorder, "refused": quiet.refused,
                      "missing": quiet.expected - quiet.delivered, "strays": one.ran.faults["strays"]})
    return {name: count for name, count in found.items() if count}
