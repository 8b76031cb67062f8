"""`python -m bench.show` (`make bench`): what the program costs and bears on this machine, in a few minutes, as a table.

Each figure has a fresh server of its own. Where it says processor time, the one worker runs on one core and the clients on another, and
user and system time of the worker are counted. Compare figures of one machine with each other, not with another machine's.
"""

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from bench.server import Server
from caas import __version__

RESULTS = Path(__file__).parent / "results"
IDLE = 10_000
SETTLE_S = 5.0
ROOM = 1_000
MESSAGES = 300
PAIRS = 200
PAIRS_S = 10.0
LISTS = (50, 500, 2_000)
"""Conversations of users whose lists are asked for."""
LIST_TIMES = 200
SIZE = 100
"""Bytes of text in a message."""
SERVER_CORE, CLIENT_CORE = 0, 1

Row = tuple[str, str]
T = TypeVar("T")


class Clients:
    """The generator's process. A context manager."""

    def __enter__(self) -> "Clients":
        self._process = subprocess.Popen([sys.executable, "-m", "bench.generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(self._process.pid, {CLIENT_CORE})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def do(self, what: str, **how: Any) -> Any:
        """One command; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **how}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"failed": "the generator has ended"}')
        if "failed" in answer:
            raise RuntimeError(f"{what}: {answer['failed']}")
        return answer


@contextmanager
def fresh(workers: int, *, pinned: bool = True) -> Iterator[Server]:
    """A server with nothing in it but the development set-up."""
    with tempfile.TemporaryDirectory(prefix="caas-bench-") as folder:
        path = Path(folder)
        with Server(path / "data", workers=workers, log=path / "log", cores={SERVER_CORE} if pinned else None) as server:
            yield server


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
    with fresh(1) as server, Clients() as clients:
        tokens = sessions(server, IDLE + 100)
        clients.do("open", port=server.address[1], tokens=tokens[:100], count=100)
        before = server.rss_kb()
        took = clients.do("open", port=server.address[1], tokens=tokens[100:], count=IDLE)["seconds"]
        clients.do("idle", for_s=SETTLE_S)
        each = (server.rss_kb() - before) / IDLE
    return [(f"memory of an idle connection, of {IDLE:,}, its user's session and personal room included", f"{each:.1f} KiB"),
            ("connections made and greeted each second, one client, one after the other", f"{IDLE / took:,.0f}")]


def room() -> list[Row]:
    """A room of 1,000, all connected and watching; one message at a time."""
    with fresh(1) as server, Clients() as clients:
        tokens = sessions(server, ROOM)
        make_group(server, "hall", [user(number) for number in range(ROOM)])
        clients.do("open", port=server.address[1], tokens=tokens, count=ROOM)
        clients.do("watch", conversations=[["hall"]] * ROOM)
        clients.do("fan", conversation="hall", messages=20, size=SIZE)
        before = server.cpu_s()
        fan = clients.do("fan", conversation="hall", messages=MESSAGES, size=SIZE)
        used = server.cpu_s() - before
    to_the_last = sorted(fan["to_the_last"])
    return [(f"deliveries for each second of processor, room of {ROOM:,}, one message of {SIZE} bytes at a time", f"{fan['deliveries'] / used:,.0f}"),
            (f"from the send until the last of {ROOM:,} has it, p50 / p99", _ms(to_the_last))]


def pairs() -> list[Row]:
    """200 rooms of 2, both watching, one of the two sending, one send outstanding in each room."""
    with fresh(1) as server, Clients() as clients:
        tokens = sessions(server, PAIRS * 2)
        names = [f"pair-{number}" for number in range(PAIRS)]
        each(lambda number: make_group(server, names[number], [user(2 * number), user(2 * number + 1)]), range(PAIRS))
        clients.do("open", port=server.address[1], tokens=tokens, count=PAIRS * 2)
        clients.do("watch", conversations=[[names[number // 2]] for number in range(PAIRS * 2)])
        clients.do("pairs", conversations=names, for_s=1.0, size=SIZE)
        before = server.cpu_s()
        sent = clients.do("pairs", conversations=names, for_s=PAIRS_S, size=SIZE)
        used = server.cpu_s() - before
    if sent["refused"]:
        raise RuntimeError(f"sends were refused: {sent['refused']}")
    done = sent["acknowledged"]
    return [(f"durable sends acknowledged for each second of processor, {PAIRS} rooms of 2, one outstanding each", f"{done / used:,.0f}"),
            ("the same for each second of the clock", f"{done / sent['seconds']:,.0f}"),
            ("from the send to its acknowledgement, p50 / p99", _ms(sorted(sent["took"])))]


def lists() -> list[Row]:
    """The first page of the list of users with few, more and many conversations, while they read."""
    with fresh(1) as server, Clients() as clients:
        tokens = sessions(server, len(LISTS) + 1)
        clients.do("open", port=server.address[1], tokens=tokens, count=len(tokens))
        for number, count in enumerate(LISTS):
            names = [f"list-{number}-{place}" for place in range(count)]
            clients.do("fill", of=len(LISTS), member=user(number), conversations=names)
        clients.do("idle", for_s=SETTLE_S)
        took = [sorted(clients.do("list", of=number, times=LIST_TIMES)["took"]) for number in range(len(LISTS))]
    return [(f"`conversation.list`, 50 rows of {count:,} conversations, p50 / p99", _ms(times)) for count, times in zip(LISTS, took, strict=True)]


def user(number: int) -> str:
    """The users of a bench."""
    return f"user-{number}"


def sessions(server: Server, count: int) -> list[str]:
    """Tokens of users 0 to `count` - 1."""
    return each(lambda number: server.session(user(number), 30), range(count))


def make_group(server: Server, name: str, members: Sequence[str]) -> None:
    """A group of these, the first of them its owner."""
    acting = {"CAAS_User": members[0]}
    server.post("/api/v1/conversations", {"id": name, "type": "group", "members": list(members[:100])}, 30, **acting)
    for begin in range(100, len(members), 100):
        server.post(f"/api/v1/conversations/{name}/members", {"users": list(members[begin:begin + 100])}, 30, **acting)


def each(work: Callable[[int], T], numbers: Sequence[int]) -> list[T]:
    """The same for many, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, numbers))


def machine() -> list[str]:
    """What was measured on; nothing that names the machine."""
    known = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in known if line.startswith("model name")), "unknown processor")
    packages = ", ".join(f"{name} {version(name)}" for name in ("trio", "msgspec", "hypercorn"))
    return [f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, fdatasync of 4 KiB {sync_ms():.2f} ms",
            f"caas {__version__}, Python {platform.python_version()}, {packages}, SQLite {sqlite3.sqlite_version}"]


def sync_ms() -> float:
    """What one fdatasync costs where the servers keep their data."""
    took = []
    with tempfile.NamedTemporaryFile(prefix="caas-bench-") as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            began = time.monotonic()
            os.fdatasync(file.fileno())
            took.append(time.monotonic() - began)
    return statistics.median(took) * 1000


def _ms(took: Sequence[float]) -> str:
    return f"{took[len(took) // 2] * 1000:.1f} ms / {took[int(len(took) * 0.99)] * 1000:.1f} ms"


def main() -> None:
    """Measure everything, print it, and keep it in bench/results/."""
    lines = ["| what | figure |", "|---|---|"]
    for measure in (start_up, idle, room, pairs, lists):
        try:
            rows = measure()
        except (RuntimeError, OSError) as failed:
            rows = [(f"{measure.__name__}", f"failed: {failed}")]
        lines += [f"| {what} | {figure} |" for what, figure in rows]
        print(*(f"{what}: {figure}" for what, figure in rows), sep="\n", flush=True)
    page = "\n".join(["# The bench", "", *(f"- {line}" for line in machine()), "", *lines, ""])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "show.md").write_text(page)
    print("\n" + page)


if __name__ == "__main__":
    main()
