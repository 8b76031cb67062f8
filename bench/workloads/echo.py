"""Echo: the bare transport. Each connection sends a frame of 100 bytes, has it back, and sends the next.

Ours is `caas echo`, the WebSocket transport without rooms, rights or storage. The others send to everybody on a path, and each path has one
connection: that is an echo too. First one frame of each connection is under way, then eight.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from bench.generate import Pace, cores
from bench.lab import Lab, Measured, Row, Stage, ceiling, median, merge_faults, quietly, ratio_to
from bench.servers.kinds import KINDS, OURS
from bench.servers.plain import Plain

ALONE = f"{OURS}, transport alone"
OTHERS = tuple(label for label in KINDS if label in ("C loop", "ws", "uvicorn, websockets", "trio-websocket"))
"""Those without a protocol of their own."""
SIZE = 100


class Plan(NamedTuple):
    """How much."""

    conns: int
    rounds: int
    seconds: float


TINY = Plan(4, 1, 0.3)
SHORT = Plan(100, 3, 0.5)
FULL = Plan(100, 3, 2.0)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """In turn, closed loop."""
    with ExitStack() as stack:
        stages = stack.enter_context(lab.stages(OTHERS))
        if OURS in lab.labels:
            stages = [*stages, stack.enter_context(lab.stage(_ours(lab)))]
        for stage in stages:
            lab.tell(f"echo: {plan.conns} connections to {stage.target.name}")
            for number in range(plan.conns):
                stage.join(f"alone-{number}", [f"user-{number}"], size=SIZE)
            stage.generator.open(range(plan.conns))
            quietly(stage, {0: Pace()})
        for outstanding in (1, 8):
            yield from _rows(f"{plan.conns} connections, {outstanding} at a time", stages, _rounds(lab, stages, plan, outstanding))


def _ours(lab: Lab) -> Plain:
    command = [sys.executable, "-m", "caas", "echo", "--port", "0"]
    return Plain(ALONE, command, core=cores()[0], log=lab.fresh() / "log")


def _rounds(lab: Lab, stages: list[Stage], plan: Plan, outstanding: int) -> dict[str, list[Measured]]:
    taken: dict[str, list[Measured]] = {stage.target.name: [] for stage in stages}
    for number in range(plan.rounds):
        lab.tell(f"echo: {outstanding} at a time, round {number + 1} of {plan.rounds}")
        for stage in stages:
            taken[stage.target.name].append(stage.measure(plan.seconds, {0: Pace(outstanding=outstanding)}))
    return taken


def _rows(case: str, stages: list[Stage], taken: dict[str, list[Measured]]) -> Iterator[Row]:
    rounds = {name: [one.deliveries_per_cpu_s for one in measured] for name, measured in taken.items()}
    for stage in stages:
        name = stage.target.name
        figures = {"echoes per CPU-s": median(rounds[name]), "of the C loop": ratio_to(ceiling(rounds), rounds[name])}
        yield Row("echo", case, name, "none; nothing checked", figures, {}, merge_faults(taken[name]))
