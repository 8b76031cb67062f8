"""As many idle connections as the machine holds: several workers, several generators, server and clients side by side.

A process opens some 20,000 files and an address has 28,000 ports, so each generator has connections from addresses of its own. All are
authenticated; a user has several. Nothing is pinned: it is about how many stay, and what they cost together. Ours alone.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from bench.generate import Generator
from bench.lab import Lab, Row, users
from bench.servers.kinds import OURS
from bench.servers.ours import OwnChild

ADDRESSES_APART = 40
"""Of the 250 that clients connect from, how far one generator's begin after another's."""


class Plan(NamedTuple):
    """How much."""

    workers: int
    generators: int
    each: int
    """Connections of a generator."""
    users: int
    seconds: float


TINY = Plan(2, 2, 10, 4, 0.5)
SHORT = Plan(2, 2, 1_000, 200, 2.0)
FULL = Plan(7, 6, 17_000, 2_000, 30.0)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Open them generator by generator, then wait."""
    if not lab.present([OURS]):
        return
    with ExitStack() as stack:
        target = OwnChild(lab.fresh(), None, plan.workers)
        stack.callback(target.stop)
        names = users(plan.users)
        target.users(names)
        empty_kb, opening_s = target.rss_kb(), 0.0
        generators = [stack.enter_context(Generator()) for _ in range(plan.generators)]
        for number, generator in enumerate(generators):
            lab.tell(f"idle_many: {(number + 1) * plan.each:,} of {plan.generators * plan.each:,} connections")
            generator.speak(target.dialect, target.host, target.port, per_address=5_000, first_address=number * ADDRESSES_APART)
            for place in range(plan.each):
                generator.add(target.script(names[place % len(names)], []))
            opening_s += generator.open(range(plan.each), within_s=600)["seconds"]
        before_s = target.cpu_s()
        for generator in generators:  # one after the other waits; the others answer pings meanwhile
            generator.run(plan.seconds / plan.generators, {})
        used, stayed, all_of = target.cpu_s() - before_s, sum(one.state()["ready"] for one in generators), plan.generators * plan.each
        figures = {"stayed": stayed, "KiB per connection": (target.rss_kb() - empty_kb) / all_of, "opened per s": all_of / opening_s,
                   "cores in use": used / plan.seconds}
        yield Row("idle_many", f"{all_of:,} connections to {plan.workers} workers", OURS, target.durability, figures, {},
                  {} if stayed == all_of else {"lost": all_of - stayed})
