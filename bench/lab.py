"""Where a workload is measured: servers on one core, generators on the other, all of a comparison alive at once and taking turns.

Taking turns, and comparing within a turn, is what makes figures of a shared or moody machine comparable: what slows one slows its neighbours.
"""

import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

from bench.generate import Broken, Generator, Pace, Ran, Script, cores
from bench.servers.kinds import KINDS, LOOP, start
from bench.servers.ours import Ours
from bench.servers.target import Target

ROOM = "hall"


class Row(NamedTuple):
    """A line of a report."""

    workload: str
    case: str
    """What was done, in a few words; rows of one case are compared."""
    server: str
    durability: str
    figures: Mapping[str, float]
    """By column, in the order of the columns."""
    times: Mapping[str, HdrHistogram] = {}
    """Microseconds, by what was timed."""
    faults: Mapping[str, int] = {}
    """What must be nothing, and was not."""


class Measured(NamedTuple):
    """A run, and what the server used for it."""

    ran: Ran
    cpu_s: float

    @property
    def delivered(self) -> int:
        """Messages that arrived, over all flows."""
        return sum(flow.delivered for flow in self.ran.flows.values())

    @property
    def deliveries_per_cpu_s(self) -> float:
        """For each second of the server's processor."""
        return self.delivered / self.cpu_s if self.cpu_s else 0.0

    @property
    def sends_per_cpu_s(self) -> float:
        """The same of messages sent and answered."""
        return sum(flow.answered for flow in self.ran.flows.values()) / self.cpu_s if self.cpu_s else 0.0

    @property
    def sends_per_s(self) -> float:
        """For each second of the clock."""
        return sum(flow.sent for flow in self.ran.flows.values()) / (self.ran.seconds + self.ran.drained_s)

    @property
    def refused(self) -> float:
        """The part of what was sent."""
        sent = sum(flow.sent for flow in self.ran.flows.values())
        return sum(flow.refused for flow in self.ran.flows.values()) / sent if sent else 0.0

    @property
    def faults_at_a_rate(self) -> dict[str, int]:
        """Those that are not nothing. Near its peak a server may refuse: that is no fault, and a figure of its own."""
        return {name: count for name, count in self.faults.items() if name != "refused"}

    @property
    def faults(self) -> dict[str, int]:
        """Those that are not nothing, and what was refused."""
        refused = sum(flow.refused for flow in self.ran.flows.values())
        return {name: count for name, count in {**self.ran.faults, "refused": refused}.items() if count}


class Stage:
    """A server and the generator before it."""

    def __init__(self, target: Target, generator: Generator) -> None:
        self.target, self.generator = target, generator
        generator.speak(target.dialect, target.host, target.port)

    def join(self, room: str, users: Sequence[str], *, senders: int = 1, flow: int = 0, size: int = 100, made: bool = False) -> range:
        """Make a room, and connections of these users that see it, the first of which send. Opened later, all at once."""
        if not made:
            self.target.room(room, users)
        conns = self.add([self.target.script(user, [room]) for user in users])
        streams = [self.generator.stream(conn, len(users), self.target.publish(room, size), flow) for conn in conns[:senders]]
        self.generator.expect(conns, range(streams[0], streams[-1] + 1))
        return conns

    def add(self, scripts: Iterable[Script]) -> range:
        """Connections with scripts of their own."""
        numbers = [self.generator.add(script) for script in scripts]
        return range(numbers[0].start, numbers[-1].stop)

    def measure(self, seconds: float, paces: Mapping[int, Pace], *, history: bool = False) -> Measured:
        """A run and the processor it took."""
        before = self.target.cpu_s()
        ran = self.generator.run(seconds, paces, history=history)
        return Measured(ran, self.target.cpu_s() - before)


class Lab:
    """Which servers take part, and where what they keep is put."""

    def __init__(self, folder: Path, labels: Sequence[str], *, say: bool = True) -> None:
        self.folder, self.labels, self._say, self._made = folder, tuple(labels), say, 0
        self.left_out: list[str] = []

    def tell(self, line: str) -> None:
        """Progress, on standard error."""
        if self._say:
            print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    def present(self, among: Sequence[str]) -> list[str]:
        """Those of `among` that take part and are installed."""
        return [label for label in among if label in self.labels and KINDS[label].installed]

    @contextmanager
    def stages(self, among: Sequence[str]) -> Iterator[list[Stage]]:
        """Start them all, each with a generator of its own."""
        with ExitStack() as stack:
            stages = []
            for label in self.present(among):
                try:
                    stages.append(self._stage(stack, start(label, self.fresh(), cores()[0])))
                except (Broken, OSError, RuntimeError) as failed:
                    self.left_out.append(f"{label}: {failed}")
                    self.tell(f"{label} is left out: {failed}")
            yield stages

    @contextmanager
    def stage(self, target: Target) -> Iterator[Stage]:
        """For a server that was started by hand; stopped at the end."""
        with ExitStack() as stack:
            yield self._stage(stack, target)

    def fresh(self) -> Path:
        """A folder nobody has used."""
        self._made += 1
        (folder := self.folder / str(self._made)).mkdir()
        return folder

    def _stage(self, stack: ExitStack, target: Target) -> Stage:
        stack.callback(target.stop)
        return Stage(target, stack.enter_context(Generator(cores()[1])))


def users(count: int, of: str = "user") -> list[str]:
    """Names."""
    return [f"{of}-{number}" for number in range(count)]


def median(values: Iterable[float]) -> float:
    """0 of nothing."""
    found = list(values)
    return statistics.median(found) if found else 0.0


def ratio_to(base: Sequence[float], values: Sequence[float]) -> float:
    """The median of the ratios within each round; 0 where there is no base."""
    return median(value / other for value, other in zip(values, base, strict=False) if other)


def ceiling(rounds: Mapping[str, Sequence[float]]) -> Sequence[float]:
    """The C loop's, round by round."""
    return rounds.get(LOOP, ())


def ours(stage: Stage) -> Ours:
    """The stage's server, which is ours: workloads of things that others have not."""
    assert isinstance(stage.target, Ours)
    return stage.target


def percentiles(times: HdrHistogram, what: str = "") -> dict[str, float]:
    """In milliseconds, by column."""
    if not times.get_total_count():
        return {}
    return {f"{what}p{name} ms": times.get_value_at_percentile(float(name)) / 1000 for name in ("50", "90", "99", "99.9")}


def p99_ms(times: HdrHistogram) -> float:
    """In milliseconds; 0 of nothing."""
    return float(times.get_value_at_percentile(99)) / 1000 if times.get_total_count() else 0.0


class Paired(NamedTuple):
    """The same measured twice in each of some pairs, one right after the other: undisturbed, and beside what may disturb.

    What slows the machine for a while slows both of a pair, so the median over pairs of how they compare is what is judged.
    """

    alone: Sequence[HdrHistogram]
    beside: Sequence[HdrHistogram]

    @property
    def times(self) -> float:
        """The p99 beside, by that alone."""
        return ratio_to([p99_ms(one) for one in self.alone], [p99_ms(one) for one in self.beside])

    @property
    def later_ms(self) -> float:
        """By how much the p99 beside is later."""
        return median(p99_ms(beside) - p99_ms(alone) for alone, beside in zip(self.alone, self.beside, strict=True))

    def slower_than(self, times: float, later_ms: float) -> bool:
        """Whether by more than both. One pair says nothing."""
        return len(self.alone) > 1 and self.times > times and self.later_ms > later_ms


def broken(promises: Mapping[str, tuple[bool, float]]) -> dict[str, int]:
    """The faults of a row: the promises that were not kept, each with by how much (whether it is broken, and that)."""
    return {name: max(1, round(by)) for name, (is_broken, by) in promises.items() if is_broken}


def merge_faults(measured: Iterable[Measured]) -> dict[str, int]:
    """All together."""
    total: dict[str, int] = {}
    for one in measured:
        for name, count in one.faults.items():
            total[name] = total.get(name, 0) + count
    return total


def quietly(stage: Stage, paces: Mapping[int, Pace], seconds: float = 0.5) -> None:
    """A run that is not looked at: caches warm up, sessions settle."""
    stage.generator.run(seconds, paces)
