"""Presence that changes all the time: people go away and come back, and everybody who watches them is told.

Ours alone: it is the server's own presence, which the others do not have or leave to the program.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace
from bench.lab import ROOM, Lab, Row, ours, percentiles, users
from bench.servers.kinds import OURS

MOST = 100
"""Users in one `presence.watch`."""
SETTLE_S = 0.3


class Plan(NamedTuple):
    """How much."""

    users: int
    rate: float
    """Changes a second, over all."""
    seconds: float


TINY = Plan(4, 20, 0.3)
SHORT = Plan(100, 100, 2.0)
FULL = Plan(100, 400, 20.0)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Everybody watches everybody."""
    with lab.stages([OURS]) as stages:
        for stage in stages:
            names, target, generator = users(plan.users), ours(stage), stage.generator
            lab.tell(f"presence_churn: {plan.users} users watch each other")
            target.room(ROOM, names)  # presence is for those who share a conversation
            watch = ("presence.watch", {"users": names[:MOST]})
            conns = stage.add([target.script(name, [ROOM], watch) for name in names])
            generator.open(conns)
            for status in ("away", "online"):  # all go, then all come back, in turn
                for conn in conns:
                    generator.stream(conn, 0, target.command("presence.set", {"status": status}))
            measured = stage.measure(plan.seconds, {0: Pace(rate=plan.rate)})
            time.sleep(SETTLE_S)
            told, flow = generator.state()["counted"], measured.ran.flows[0]
            figures = {"changes per CPU-s": measured.sends_per_cpu_s, "pushes per CPU-s": told / measured.cpu_s if measured.cpu_s else 0.0,
                       "pushes per change": told / flow.answered if flow.answered else 0.0, **percentiles(flow.answer)}
            yield Row("presence_churn", f"{plan.users} users who watch {min(plan.users, MOST)}, {plan.rate:g} changes/s", target.name,
                      "not kept", figures, {"answer": flow.answer}, measured.faults)
