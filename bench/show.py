"""`python -m bench.show` (`make bench-show`): what the program costs and bears on this machine, in a few minutes, as a table.

Each figure has a fresh server of its own. Where it says processor time, the one worker runs on one core and the clients on another, and
user and system time of the worker are counted. Compare figures of one machine with each other, not with another machine's.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from hdrh.histogram import HdrHistogram

from bench.generate import Broken, Flow, Generator, Pace, Ran, cores
from bench.machine import machine
from bench.server import Server
from bench.servers.ours import OwnChild, each

RESULTS = Path(__file__).parent / "results"
IDLE = 10_000
SETTLE_S = 5.0
ROOM = 1_000
ROOM_S = 6.0
PAIRS = 200
PAIRS_S = 10.0
LISTS = (50, 500, 2_000)
"""Conversations of users whose lists are asked for."""
LIST_TIMES = 200
SIZE = 100
"""Bytes of text in a message."""

Row = tuple[str, str]


class Clients:
    """A process of clients that ask and wait. A context manager."""

    def __enter__(self) -> "Clients":
        self._process = subprocess.Popen([sys.executable, "-m", "bench.asker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if (core := cores()[1]) is not None:
            os.sched_setaffinity(self._process.pid, {core})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def do(self, what: str, **how: Any) -> Any:
        """One command; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **how}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"failed": "the clients have ended"}')
        if "failed" in answer:
            raise RuntimeError(f"{what}: {answer['failed']}")
        return answer


@contextmanager
def fresh(workers: int, *, pinned: bool = True) -> Iterator[OwnChild]:
    """A server with nothing in it but the development set-up."""
    with tempfile.TemporaryDirectory(prefix="caas-bench-") as folder:
        ours = OwnChild(Path(folder), cores()[0] if pinned else None, workers)
        try:
            yield ours
        finally:
            ours.stop()


@contextmanager
def generating(ours: OwnChild) -> Iterator[Generator]:
    """The load generator, on the other core, with that server before it."""
    with Generator(cores()[1]) as generator:
        generator.speak(ours.dialect, ours.host, ours.port, per_address=200)
        yield generator


def start_up() -> list[Row]:
    """From the command to its `ready` line: the first time, and again with what is there."""
    first, again = list[float](), list[float]()
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="caas-bench-") as folder:
            path = Path(folder)
            for took in (first, again):
                with Server(path / "data", workers=2, log=path / "log") as server:
                    took.append(server.start_s)
    took_s = f"{statistics.median(first):.2f} s / {statistics.median(again):.2f} s"
    return [("start of `caas dev` with 2 workers to its ready line, new / again", took_s)]


def idle() -> list[Row]:
    """Resident memory of the worker for each of 10,000 idle connections, each of a user of its own."""
    names = [user(number) for number in range(IDLE + 100)]
    with fresh(1) as ours, generating(ours) as generator:
        ours.users(names)
        conns = [generator.add(ours.script(name, ())).start for name in names]
        generator.open(range(100))
        before = ours.rss_kb()
        took = generator.open(range(100, len(conns)), at_once=1)["seconds"]
        generator.run(SETTLE_S, {})
        each_kb = (ours.rss_kb() - before) / IDLE
    return [(f"memory of an idle connection, of {IDLE:,}, its user's session and personal room included", f"{each_kb:.1f} KiB"),
            ("connections made and greeted each second, one client, one after the other", f"{IDLE / took:,.0f}")]


def room() -> list[Row]:
    """A room of 1,000, all connected and watching; one message at a time."""
    names = [user(number) for number in range(ROOM)]
    with fresh(1) as ours, generating(ours) as generator:
        ours.room("hall", names)
        for name in names:
            generator.add(ours.script(name, ["hall"]))
        generator.open(range(ROOM))
        generator.stream(0, ROOM, ours.publish("hall", SIZE))
        generator.expect(range(ROOM), range(1))
        generator.run(1.0, {0: Pace()})
        before = ours.cpu_s()
        fan = whole(generator.run(ROOM_S, {0: Pace()}))
        used = ours.cpu_s() - before
    return [(f"deliveries for each second of processor, room of {ROOM:,}, one message of {SIZE} bytes at a time", f"{fan.delivered / used:,.0f}"),
            (f"from the send until the last of {ROOM:,} has it, p50 / p99", _spread(fan.last))]


def pairs() -> list[Row]:
    """200 rooms of 2, both watching, one of the two sending, one send outstanding in each room."""
    names = [(f"pair-{number}", user(2 * number), user(2 * number + 1)) for number in range(PAIRS)]
    with fresh(1) as ours, generating(ours) as generator:
        ours.users([name for _, *both in names for name in both])
        each(lambda pair: ours.room(pair[0], pair[1:]), names)
        for pair, *both in names:
            for name in both:
                generator.add(ours.script(name, [pair]))
        generator.open(range(2 * PAIRS))
        for number, (pair, *_) in enumerate(names):
            generator.stream(2 * number, 2, ours.publish(pair, SIZE))
            generator.expect(range(2 * number, 2 * number + 2), range(number, number + 1))
        pace = {0: Pace(until="answer")}
        generator.run(1.0, pace)
        before = ours.cpu_s()
        ran = generator.run(PAIRS_S, pace)
        used, sent = ours.cpu_s() - before, whole(ran)
    return [(f"durable sends acknowledged for each second of processor, {PAIRS} rooms of 2, one outstanding each", f"{sent.answered / used:,.0f}"),
            ("the same for each second of the clock", f"{sent.answered / (ran.seconds + ran.drained_s):,.0f}"),
            ("from the send to its acknowledgement, p50 / p99", _spread(sent.answer))]


def whole(ran: Ran) -> Flow:
    """The one flow, when nothing was refused, and nothing lost, doubled or out of order."""
    flow = ran.flows[0]
    if flow.refused or any(ran.faults.values()):
        raise Broken(f"{flow.refused} refused ({flow.refusal}), {ran.faults}")
    return flow


def lists() -> list[Row]:
    """The first page of the list of users with few, more and many conversations, while they read."""
    with fresh(1) as ours, Clients() as clients:
        tokens = [ours.server.session(user(number), 30) for number in range(len(LISTS) + 1)]
        clients.do("open", port=ours.port, tokens=tokens, count=len(tokens))
        for number, count in enumerate(LISTS):
            names = [f"list-{number}-{place}" for place in range(count)]
            clients.do("fill", of=len(LISTS), member=user(number), conversations=names)
        clients.do("idle", for_s=SETTLE_S)
        took = [sorted(clients.do("list", of=number, times=LIST_TIMES)["took"]) for number in range(len(LISTS))]
    return [(f"`conversation.list`, 50 rows of {count:,} conversations, p50 / p99", _ms(times)) for count, times in zip(LISTS, took, strict=True)]


def user(number: int) -> str:
    """The users of a bench."""
    return f"user-{number}"


def _spread(took: HdrHistogram) -> str:
    return f"{took.get_value_at_percentile(50) / 1000:.1f} ms / {took.get_value_at_percentile(99) / 1000:.1f} ms"


def _ms(took: Sequence[float]) -> str:
    return f"{took[len(took) // 2] * 1000:.1f} ms / {took[int(len(took) * 0.99)] * 1000:.1f} ms"


def main() -> None:
    """Measure everything, print it, and keep it in bench/results/."""
    lines = ["| what | figure |", "|---|---|"]
    for measure in (start_up, idle, room, pairs, lists):
        try:
            rows = measure()
        except (Broken, RuntimeError, OSError) as failed:
            rows = [(f"{measure.__name__}", f"failed: {failed}")]
        lines += [f"| {what} | {figure} |" for what, figure in rows]
        print(*(f"{what}: {figure}" for what, figure in rows), sep="\n", flush=True)
    page = "\n".join(["# The bench", "", *(f"- {line}" for line in machine()), "", *lines, ""])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "show.md").write_text(page)
    print("\n" + page)


if __name__ == "__main__":
    main()
