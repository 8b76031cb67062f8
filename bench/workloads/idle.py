"""Idle connections: what each costs in memory and, answering pings, in processor time.

Resident memory of the server's processes before and after, so user space only; the kernel has some 4 KiB more for a socket. Ours are
authenticated, each of a user of its own whose personal room is watched; the others know nobody.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.lab import Lab, Row, Stage, percentiles
from bench.servers.kinds import KINDS


class Plan(NamedTuple):
    """How much."""

    before: int
    """Connections that are there before the first reading."""
    conns: int
    seconds: float


TINY = Plan(5, 20, 0.3)
SHORT = Plan(100, 400, 1.0)
FULL = Plan(200, 10_000, 30.0)  # `heads` come each 25 s


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """One server after the other, each alone."""
    for label in lab.present(list(KINDS)):
        with lab.stages([label]) as stages:
            for stage in stages:
                lab.tell(f"idle: {plan.conns:,} connections to {label}")
                yield _row(stage, plan)


def _row(stage: Stage, plan: Plan) -> Row:
    target, generator, names = stage.target, stage.generator, [f"idler-{number}" for number in range(plan.before + plan.conns)]
    known(stage, names)
    conns = stage.add([target.script(name, []) for name in names])
    generator.open(range(conns.start, conns.start + plan.before))
    generator.run(min(2.0, plan.seconds), {})
    before_kb = target.rss_kb()
    opened = generator.open(range(conns.start + plan.before, conns.stop))
    generator.run(min(5.0, plan.seconds), {})
    each_kb = (target.rss_kb() - before_kb) / plan.conns
    used = stage.measure(plan.seconds, {})
    figures = {"KiB per connection": each_kb, "CPU-us per connection and s": used.cpu_s / plan.seconds / len(names) * 1e6,
               "opened per s": plan.conns / opened["seconds"], **percentiles(opened["opened"], "open ")}
    lost = {"lost": len(names) - used.ran.totals["ready"]}
    return Row("idle", f"{plan.conns:,} idle connections", target.name, target.durability, figures, {"opening": opened["opened"]},
               {name: count for name, count in lost.items() if count})


def known(stage: Stage, names: list[str]) -> None:
    """Make the users, where a server knows any."""
    if make := getattr(stage.target, "users", None):
        make(names)
