"""Catching up on history: everybody in a room reads its last messages, page by page of one `conversation.sync`.

Ours alone: the others, as they are set up here, keep no history.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace
from bench.lab import ROOM, Lab, Row, ours, percentiles, users
from bench.servers.kinds import OURS


class Plan(NamedTuple):
    """How much."""

    readers: int
    messages: int
    """In each page."""
    seconds: float


TINY = Plan(3, 10, 0.3)
SHORT = Plan(100, 200, 2.0)
FULL = Plan(1_000, 300, 10.0)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Write the history, then read it again and again."""
    with lab.stages([OURS]) as stages:
        for stage in stages:
            names, target, generator = users(plan.readers), ours(stage), stage.generator
            lab.tell(f"catch_up: {plan.messages} messages are written")
            conns = stage.join(ROOM, names)
            generator.open(conns)
            while target.position(ROOM, names[0])[0] < plan.messages + 2:
                generator.run(0.2, {0: Pace(until="answer", outstanding=32)})
            head, epoch = target.position(ROOM, names[0])
            ask = target.command("conversation.sync", {"c": ROOM, "after": head - plan.messages, "epoch": epoch, "limit": plan.messages})
            for conn in conns:
                generator.stream(conn, 0, ask, flow=1)
            lab.tell(f"catch_up: {plan.readers} readers")
            measured = stage.measure(plan.seconds, {1: Pace(until="answer")}, history=True)
            flow, read = measured.ran.flows[1], measured.ran.totals["history"]
            wrong = {**measured.faults, **({"messages": read - flow.answered * plan.messages} if read != flow.answered * plan.messages else {})}
            figures = {"messages per CPU-s": read / measured.cpu_s if measured.cpu_s else 0.0, "pages per CPU-s": measured.sends_per_cpu_s,
                       **percentiles(flow.answer)}
            yield Row("catch_up", f"{plan.readers} readers, pages of {plan.messages}", target.name, target.durability, figures,
                      {"a page": flow.answer}, wrong)
