"""A loud tenant beside a quiet one: what does the quiet one notice when the other sends many times what it may?

Ours alone, with its limits on. Each of the loud tenant's users sends ten times a user's allowance; what is too much is refused.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.generate import Flow, Pace, cores
from bench.lab import Lab, Row, Stage, percentiles
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


TINY = Plan(2, 10, 2, 100, 1.0)
SHORT = Plan(10, 40, 20, 2_000, 2.5)
FULL = Plan(10, 40, 50, 5_000, 20.0)


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
        for case, paces in (("alone", {QUIET: Pace(rate=plan.quiet_rate)}),
                            ("beside the loud one", {QUIET: Pace(rate=plan.quiet_rate), LOUD: Pace(rate=plan.loud_rate)})):
            measured = stage.measure(plan.seconds, paces)
            said = measured.ran.flows[QUIET]
            figures = {"quiet sends/s": plan.quiet_rate, **percentiles(said.answer), **_loudness(measured.ran.flows.get(LOUD), plan.seconds)}
            yield Row("loud_tenant", f"a quiet tenant {case}", OURS, quiet.durability, figures, {f"answer, {case}": said.answer},
                      _faults(measured.ran.faults, said))


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


def _loudness(flow: Flow | None, seconds: float) -> dict[str, float]:
    return {} if flow is None else {"loud sends/s": flow.sent / seconds, "of them refused": flow.refused / flow.sent if flow.sent else 0.0}


def _faults(totals: Mapping[str, int], quiet: Flow) -> dict[str, int]:
    """The quiet one's. What of the loud one's was refused leaves gaps, and that is right."""
    found = {"gaps": quiet.gaps, "doubles": quiet.doubles, "disorder": quiet.disorder, "refused": quiet.refused,
             "missing": quiet.expected - quiet.delivered, "strays": totals["strays"]}
    return {name: count for name, count in found.items() if count}
