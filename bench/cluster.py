"""`python -m bench.cluster` (`make bench-cluster`): what nodes cost each other, on real engines on this machine, in some three minutes, as a table.

Three nodes of one worker, one broker, one mongod and Redis share this machine's cores, so the clock says what this machine bears, and processor
time what a node costs. Pairs of users: one writes, the other reads.

    between nodes    the writer on one node, the reader on another: how long from the intended send until it is there, by load
    nodes            both of a pair on one node, the pairs spread over 1, 2, 3 nodes: messages for each second of the nodes' processor
    not listened to  all pairs on one node: what a message costs another, where nobody listens
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trio
from hdrh.histogram import HdrHistogram

from bench import processes
from bench.generate import Broken, Generator, Pace, Ran
from bench.machine import machine
from bench.server import KEY
from bench.servers.ours import Ours
from bench.show import RESULTS
from deploy.local.cluster import Cluster, Shape, made
from deploy.local.member import Member

PAIRS, SIZE = 60, 100
"""So many write at once; bytes of text."""
NODES = 3
WARM_S, RUN_S = 1.5, 6.0
LOADS = (0.1, 0.5, 0.8)
BETWEEN, SPREAD, ALONE = 0, 1, 4
"""Flows; of the spread one for each number of nodes."""
KNOWN_S = 3.0
"""For all nodes to know all rooms, and to have stored what was made."""

Row = tuple[str, str]


class Cost(NamedTuple):
    """A run, and seconds of processor of each node."""

    ran: Ran
    cpu_s: list[float]

    @property
    def sent(self) -> int:
        """Messages that arrived."""
        return sum(flow.delivered for flow in self.ran.flows.values())

    @property
    def rate(self) -> float:
        """Messages a second, by the clock."""
        return self.sent / (self.ran.seconds + self.ran.drained_s)


class Field:
    """The nodes, and the load generator before them."""

    def __init__(self, nodes: Sequence[Member], generator: Generator) -> None:
        self.nodes, self.generator = nodes, generator
        self.ours = [Ours(f"http://{node.host}:{node.port}", KEY) for node in nodes]

    def pairs(self, name: str, places: Sequence[tuple[int, int]], flow: int) -> None:
        """A writer and a reader for each place: the nodes they are on."""
        self._make(name, len(places))
        opened: dict[int, list[int]] = {}
        for number, (writer, reader) in enumerate(places):
            room, users = f"{name}-{number}", (f"{name}-{number}-w", f"{name}-{number}-r")
            writes = self.generator.add(self.ours[writer].script(users[0], []))
            reads = self.generator.add(self.ours[reader].script(users[1], [room]))
            stream = self.generator.stream(writes.start, 1, self.ours[writer].publish(room, SIZE), flow)
            self.generator.expect(reads, range(stream, stream + 1))
            opened.setdefault(writer, []).append(writes.start)
            opened.setdefault(reader, []).append(reads.start)
        for node, conns in opened.items():
            self.generator.speak(self.ours[node].dialect, self.ours[node].host, self.ours[node].port)
            for conn in conns:
                self.generator.open(range(conn, conn + 1))

    def measure(self, flow: int, pace: Pace) -> Cost:
        """A run after a shorter one."""
        self.generator.run(WARM_S, {flow: pace})
        before = [self._cpu_s(node) for node in self.nodes]
        ran = self.generator.run(RUN_S, {flow: pace})
        if faults := {name: count for name, count in ran.faults.items() if count}:
            raise Broken(f"what must not be: {faults}")
        return Cost(ran, [self._cpu_s(node) - was for node, was in zip(self.nodes, before, strict=True)])

    def idle(self) -> list[float]:
        """Seconds of processor of each node for a second in which nobody writes."""
        before = [self._cpu_s(node) for node in self.nodes]
        time.sleep(RUN_S)
        return [(self._cpu_s(node) - was) / RUN_S for node, was in zip(self.nodes, before, strict=True)]

    def _make(self, name: str, count: int) -> None:
        for ours in self.ours:
            ours.users([f"{name}-{number}-{who}" for number in range(count) for who in "wr"])
        for number in range(count):
            self.ours[0].room(f"{name}-{number}", [f"{name}-{number}-w", f"{name}-{number}-r"])
        time.sleep(KNOWN_S)

    def _cpu_s(self, node: Member) -> float:
        return processes.cpu_s(processes.family(node.pid)) if node.alive else 0.0


def between(field: Field) -> list[Row]:
    """By load, of what came through when each pair's next left as the one before arrived."""
    field.pairs("between", [(number % NODES, (number + 1) % NODES) for number in range(PAIRS)], BETWEEN)
    knee = field.measure(BETWEEN, Pace()).rate
    rows = [("between nodes: the knee, one message of each pair under way", f"{knee:,.0f} messages/s")]
    for load in LOADS:
        latency = field.measure(BETWEEN, Pace(rate=load * knee)).ran.flows[BETWEEN].latency
        rows.append((f"between nodes at {load:.0%} of it ({load * knee:,.0f}/s), p50 / p99", f"{_ms(latency, 50)} / {_ms(latency, 99)}"))
    return rows


def alone(field: Field) -> list[Row]:
    """All on the first node, at half of what it bears."""
    idle = field.idle()
    field.pairs("alone", [(0, 0)] * PAIRS, ALONE)
    knee = field.measure(ALONE, Pace()).rate
    cost = field.measure(ALONE, Pace(rate=knee / 2))
    others = statistics.mean(used - still * cost.ran.seconds for used, still in zip(cost.cpu_s[1:], idle[1:], strict=True))
    own = cost.cpu_s[0] - idle[0] * cost.ran.seconds
    return [(f"an idle node, of {NODES}", f"{statistics.mean(idle):.1%} of a core"),
            (f"a message at the node of both who write and read ({knee / 2:,.0f}/s)", f"{own / cost.sent * 1e6:,.0f} µs of processor"),
            ("the same message at each node where nobody listens, its share of storing included", f"{others / cost.sent * 1e6:,.0f} µs of processor")]


def spread(field: Field, count: int) -> list[Row]:
    """Pairs on so many nodes, as fast as they come through."""
    field.pairs(f"spread-{count}", [(number % count,) * 2 for number in range(PAIRS)], SPREAD + count - 1)
    cost = field.measure(SPREAD + count - 1, Pace())
    spent = sum(cost.cpu_s)
    return [(f"{count} node{'s' * (count > 1)}: messages a second / for each second of their processor / if each had a core of its own",
             f"{cost.rate:,.0f} / {cost.sent / spent:,.0f} / {count * cost.sent / spent:,.0f}")]


async def run(folder: Path) -> list[Row]:
    """All of it; nodes are stopped one by one for the last."""
    cluster = Cluster(folder, made(Shape(NODES, 1, 1), {}), settings={"dev": "1", "limits": "0", "partitions": "24", "drain_s": "1"})
    nodes = list(cluster.nodes.members.values())
    rows: list[Row] = []
    try:
        await cluster.start(lambda line: print(line, file=sys.stderr))
        with Generator() as generator:
            field = Field(nodes, generator)
            for part in (alone, between):
                rows += part(field)
        for count in range(NODES, 0, -1):
            for node in nodes[count:]:
                await node.stop()
            await trio.sleep(KNOWN_S)
            with Generator() as generator:
                rows += spread(Field(nodes[:count], generator), count)
    finally:
        cluster.drop()
    return rows


def _ms(latency: HdrHistogram, percentile: float) -> str:
    return f"{latency.get_value_at_percentile(percentile) / 1000:.1f} ms"


def main() -> None:
    """Print the table, and keep it beside the others."""
    with tempfile.TemporaryDirectory(prefix="caas-bench-") as folder:
        rows = trio.run(run, Path(folder))
    print("\n".join(f"| {name} | {value} |" for name, value in rows))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cluster.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
