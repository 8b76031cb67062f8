"""Overload: three times what the server can take, in an open loop. How much of it does it still do, and how soon is the rest refused?

Ours alone. First its peak, in a closed loop with several under way in each room; then three times that, whatever comes back; then half of it
again, to see whether it is as it was before; then the peak once more, for a machine is not always equally quick: what is done is held against
the mean of both. What is promised stands in `wrong` (docs/guarantees.md): at least 80% of the peak is done, each refusal comes within 250 ms
and has a code, memory is bounded, and 5 s later all is as it was.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bench.generate import Flow, Pace
from bench.lab import Lab, Measured, Row, Stage, broken, percentiles, quietly
from bench.servers.kinds import OURS, start
from bench.workloads.small_rooms import enter
from protocol.errors import CODES

GOODPUT, REFUSED_WITHIN_MS, GROWS_MIB, NORMAL_WITHIN_S = 0.8, 250, 200, 5.0
"""At least so much of the peak; at most so long; at most so much more memory; at most so long until all is answered."""
AS_BEFORE, SOON_MS = 2.0, 250
"""From then on a p99 of at most so many times that before, or so soon that nobody minds."""


class Plan(NamedTuple):
    """How much. A room has two members, one of whom sends."""

    rooms: int
    outstanding: int
    seconds: float
    times: float = 3
    """Of the peak."""


TINY = Plan(4, 2, 0.5, times=0.5)
"""For tests, which say nothing of how fast anything is."""
SHORT = Plan(200, 4, 3.0)
FULL = Plan(400, 4, 10.0)


class Overloaded(NamedTuple):
    """What came of it."""

    peaks: tuple[float, float]
    """Sends answered in a second, before and after."""
    before: Measured
    """At half the peak."""
    over: Measured
    after: Measured
    grew_mib: float
    times: float = 3

    @property
    def flow(self) -> Flow:
        """Of the time when it was too much."""
        return self.over.ran.flows[0]

    @property
    def peak(self) -> float:
        """The mean of both."""
        return sum(self.peaks) / len(self.peaks)

    @property
    def goodput(self) -> float:
        """Of the peak."""
        return _answered_per_s(self.over) / self.peak


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Peak, half, three times, half, peak."""
    if not lab.present([OURS]):
        return
    with lab.stage(start(OURS, lab.fresh(), 0)) as stage:
        lab.tell(f"overload: {plan.rooms} rooms")
        enter(stage, plan.rooms, 2, 1, "pair")
        quietly(stage, {0: Pace(until="answer")})
        peak = _peak(stage, plan)
        half, kb = {0: Pace(rate=peak / 2)}, stage.target.rss_kb()
        before = _better(stage, plan, half)
        lab.tell(f"overload: the peak is {peak:,.0f} sends/s; now {plan.times:g} times that")
        over = stage.measure(plan.seconds, {0: Pace(rate=plan.times * peak)})
        grew = (stage.target.rss_kb() - kb) / 1024
        after = _better(stage, plan, half)
        found = Overloaded((peak, _peak(stage, plan)), before, over, after, grew, plan.times)
        case = f"{plan.rooms} rooms of 2, {plan.times:g} times the peak"
        yield Row("overload", case, stage.target.name, stage.target.durability, _figures(found, plan),
                  {name: times for name, times in (("answer", found.flow.answer), ("refusal", found.flow.refuse)) if times.get_total_count()},
                  wrong(found))


def wrong(found: Overloaded) -> dict[str, int]:
    """Which promises were not kept, each with by how much."""
    late_ms, drained_s = found.flow.refuse.get_max_value() / 1000, found.over.ran.drained_s
    slower = p99_ms(found.after) / max(p99_ms(found.before), 1)
    never = found.flow.sent - found.flow.answered - found.flow.refused
    checks: Mapping[str, tuple[bool, float]] = {
        "goodput below 80% of the peak, %": (found.goodput < GOODPUT and found.times > 1, 100 * found.goodput),
        "refused later than 250 ms, ms": (bool(found.flow.refused) and late_ms > REFUSED_WITHIN_MS, late_ms),
        "refused without a code": (bool(found.flow.refused) and not _code(found.flow), found.flow.refused),
        "neither answered nor refused": (never > 0, never),
        "memory grew by MiB": (found.grew_mib > GROWS_MIB, found.grew_mib),
        "back to normal after s": (drained_s > NORMAL_WITHIN_S, drained_s),
        "p99 afterwards, times before": (slower > AS_BEFORE and p99_ms(found.after) > SOON_MS, slower),
        "doubles": (found.flow.doubles > 0, found.flow.doubles), "disorder": (found.flow.disorder > 0, found.flow.disorder)}
    return broken(checks)


def p99_ms(measured: Measured) -> float:
    """Until the answer."""
    return float(measured.ran.flows[0].answer.get_value_at_percentile(99)) / 1000


def _peak(stage: Stage, plan: Plan) -> float:
    """In a closed loop, with one under way in each room, or with several: whichever is more."""
    return max(_answered_per_s(stage.measure(plan.seconds, {0: Pace(outstanding=outstanding, until="answer")}))
               for outstanding in (1, plan.outstanding))


def _better(stage: Stage, plan: Plan, half: Mapping[int, Pace]) -> Measured:
    """At half the peak, twice: a moment in which the machine had something else to do says nothing of what overload leaves behind."""
    return min((stage.measure(plan.seconds, half) for _ in range(2)), key=p99_ms)


def _answered_per_s(measured: Measured) -> float:
    return measured.ran.flows[0].answered / (measured.ran.seconds + measured.ran.drained_s)


def _code(flow: Flow) -> str:
    """Of the first refusal."""
    return next((code for code in CODES if code in flow.refusal), "")


def _figures(found: Overloaded, plan: Plan) -> dict[str, float]:
    flow = found.flow
    return {"peak sends/s": found.peaks[0], "afterwards": found.peaks[1], "offered/s": flow.sent / plan.seconds, "goodput of the peak": found.goodput,
            "refused": flow.refused / flow.sent, **percentiles(flow.answer, "answer "),
            **percentiles(flow.refuse, "refusal "), "refusal max ms": flow.refuse.get_max_value() / 1000,
            "memory grew by MiB": found.grew_mib, "drained s": found.over.ran.drained_s,
            "p99 before ms": p99_ms(found.before), "p99 after ms": p99_ms(found.after), "generator late by ms": flow.behind_us / 1000}
