"""The load generator as Python sees it: a child process of one core, told what to do line by line (bench/generator/main.c).

    add, dialect, target, script, stream, expect    say what is to be done; answered only when something is wrong
    open, shut, stall, run, state                   do it, and are answered

Everything is prepared here, once, as bytes: handshakes, what is said after them, the frames that are published. So the generator need
not know any server.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from hdrh.histogram import HdrHistogram

from bench.build import built

LONGEST_US = 60_000_000
NO_PLACE = -1
MARKER = "~b1~" + "0" * 30
"""What a published text begins with; the generator writes stream, number and intended time into it."""
A_UUID = "0190a0a0-0000-7000-8000-000000000000"
ASK = 1_000_000_000
"""A command's number of four bytes in msgpack, of ten digits in decimal."""


class Broken(Exception):
    """The generator, or a server, did not do what it was asked to."""


class Script(NamedTuple):
    """How a connection is opened: the request, and then each frame with what must have come before the next."""

    upgrade: bytes
    steps: tuple[tuple[bytes, bytes], ...] = ()


class Dialect(NamedTuple):
    """How a server talks, beside what is published. `answer`: how a publish is answered: own (the sender's copy), msgpack, json, protobuf, none."""

    answer: str = "own"
    ping: bytes = b""
    pong: bytes = b""
    grouped: str = "alone"
    """How several messages share a frame: alone (they do not), lines, lengths (a varint before each)."""
    counted: bytes = b""
    """Messages that hold this are counted."""


class Publish(NamedTuple):
    """A frame that publishes, and where in it something is written each time."""

    frame: bytes
    marker: int = NO_PLACE
    id: int = NO_PLACE
    ask: int = NO_PLACE
    digits: int = NO_PLACE
    varint: int = NO_PLACE


class Pace(NamedTuple):
    """How a flow goes: `rate` messages a second (0: the next when the one before is through), so many at a time, so many outstanding."""

    rate: float = 0
    burst: int = 1
    outstanding: int = 1
    until: str = "last"
    """Through is one that all have (last), or that is answered (answer)."""


class Flow(NamedTuple):
    """What became of a flow. Times in microseconds, from the intended send."""

    gaps: int
    doubles: int
    disorder: int
    sent: int
    expected: int
    delivered: int
    answered: int
    refused: int
    refusal: str
    behind_us: int
    """How late the generator was at most: above a few milliseconds it was the bottleneck."""
    latency: HdrHistogram
    last: HdrHistogram
    """Until the last of the audience had it."""
    answer: HdrHistogram
    refuse: HdrHistogram
    """Until it was refused."""


class Ran(NamedTuple):
    """What became of a run."""

    seconds: float
    drained_s: float
    cpu_s: float
    """Of the generator."""
    totals: Mapping[str, Any]
    flows: Mapping[int, Flow]

    @property
    def faults(self) -> dict[str, int]:
        """What must be nothing: gaps, doubles, disorder, strays; what never came; what the generator could not send."""
        missing = sum(flow.expected - flow.delivered for flow in self.flows.values())
        return {**{name: int(self.totals[name]) for name in ("gaps", "doubles", "disorder", "strays", "unsent")}, "missing": missing}


class Generator:
    """The child process. A context manager: leaving it ends the connections."""

    def __init__(self, core: int | None = None, program: Path | None = None) -> None:
        words = [str(program or built("generate")), *([str(core)] if core is not None else [])]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1 << 20)
        self._connections = self._streams = 0

    def __enter__(self) -> "Generator":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Close everything."""
        self._process.communicate()

    def speak(self, dialect: Dialect, host: str, port: int, per_address: int = 20_000, first_address: int = 0) -> None:
        """Whom to connect to, and how it talks. On this machine, from which of the addresses 127.0.0.2 and on, so many connections from each."""
        self._tell("dialect", answer=dialect.answer, ping=dialect.ping, pong=dialect.pong, grouped=dialect.grouped,
                   count=dialect.counted)
        self._tell("target", host=host, port=port, per_address=per_address, first_address=first_address)

    def add(self, script: Script, count: int = 1) -> range:
        """Connections, not open yet, and their numbers."""
        self._tell("add", count=count, **_script(script))
        self._connections += count
        return range(self._connections - count, self._connections)

    def rewrite(self, number: int, script: Script) -> None:
        """What a connection says from now on when it is opened."""
        self._tell("script", **{"from": number, "to": number + 1}, **_script(script))

    def stream(self, conn: int, audience: int, publish: Publish, flow: int = 0) -> int:
        """What one connection publishes, to so many who see it."""
        self._tell("stream", conn=conn, flow=flow, audience=audience, frame=publish.frame, marker=publish.marker, id=publish.id, ask=publish.ask,
                   digits=publish.digits, varint=publish.varint)
        self._streams += 1
        return self._streams - 1

    @property
    def streams(self) -> int:
        """How many there are: the number of the next."""
        return self._streams

    def expect(self, conns: range, streams: range) -> None:
        """Which streams these connections get from now on, each from its next number."""
        self._tell("expect", **{"from": conns.start, "to": conns.stop}, first=streams.start, count=len(streams))

    def open(self, conns: range, *, rate: float = 0, at_once: int = 64, within_s: float = 120, loosely: bool = False,
             receive_buffer: int = 0) -> dict[str, Any]:
        """Open connections at a rate, or so many at once, and wait until each has gone through its script. `opened`: from intended to ready."""
        answer = self._ask("open", **_span(conns), rate=rate, at_once=at_once, within=within_s, loosely=1 if loosely else "",
                           receive_buffer=receive_buffer)
        return {**answer, "opened": histogram(answer["opened"])}

    def shut(self, conns: range, *, reset: bool = False) -> None:
        """Close them, or drop them with a reset."""
        self._ask("shut", **_span(conns), reset=int(reset))

    def stall(self, conns: range, *, on: bool = True) -> None:
        """Read nothing any more, or again."""
        self._ask("stall", **_span(conns), on=int(on))

    def run(self, seconds: float, paces: Mapping[int, Pace], *, drain_s: float = 10, history: bool = False,
            progress: Callable[[Mapping[str, Any]], None] | None = None) -> Ran:
        """Let flows go for some seconds, then wait until everything has come. `history`: what comes was published earlier; only count it."""
        given: dict[str, Any] = {f"flow{number}": f"{pace.rate},{pace.burst},{pace.outstanding},{pace.until}" for number, pace in paces.items()}
        told = self._ask("run", progress=progress, seconds=seconds, drain=drain_s, history=int(history), report=0.25 if progress else 0, **given)
        return Ran(told.pop("seconds"), told.pop("drained_s"), told.pop("cpu_s"), flows=_flows(told.pop("flows")), totals=told)

    def state(self) -> dict[str, Any]:
        """Totals since the last run began."""
        return self._ask("state")

    def _tell(self, verb: str, **values: Any) -> None:
        assert self._process.stdin is not None
        said = (f"{name}={value.hex() if isinstance(value, bytes) else value}" for name, value in values.items())
        try:
            self._process.stdin.write(" ".join((verb, *said)).encode() + b"\n")
        except BrokenPipeError:
            raise Broken("the load generator has ended") from None

    def _ask(self, verb: str, /, progress: Callable[[Mapping[str, Any]], None] | None = None, **values: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tell(verb, **values)
        self._process.stdin.flush()
        while line := self._process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if "failed" in answer:
                raise Broken(f"{verb}: {answer['failed']}")
            if "progress" not in answer:
                return answer
            if progress:
                progress(answer["progress"])
        raise Broken(f"{verb}: the load generator has ended with {self._process.wait()}")


def histogram(pairs: Iterable[tuple[int, int]] = ()) -> HdrHistogram:
    """Of microseconds."""
    made = HdrHistogram(1, LONGEST_US, 3)
    for value, count in pairs:
        made.record_value(min(max(value, 1), LONGEST_US), count)
    return made


def merged(histograms: Iterable[HdrHistogram]) -> HdrHistogram:
    """All in one."""
    made = histogram()
    for one in histograms:
        made.add(one)
    return made


def client_frame(payload: bytes, opcode: int = 0x2) -> bytes:
    """A client's frame. Its mask is four zero bytes, which leaves the payload as it is: so a part of it can be written anew each time."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65_536 else b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def upgrade(path: str, *, protocol: str = "", host: str = "127.0.0.1") -> bytes:
    """The request that opens a WebSocket."""
    wanted = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    return (f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: c2l4dGVlbiBieXRlcyAuLg==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{wanted}\r\n").encode()


def text_of(size: int) -> str:
    """A text to publish, marker first."""
    return MARKER + "x" * max(0, size - len(MARKER))


def publish(frame: bytes) -> Publish:
    """Where the generator's places are in a frame that was made with `text_of`, `A_UUID` and `ASK`."""
    ask = frame.find(b"\xa1i\xce" + ASK.to_bytes(4, "big"))
    return Publish(frame, frame.find(MARKER.encode()), frame.find(A_UUID.encode()), ask + 3 if ask >= 0 else NO_PLACE,
                   frame.find(str(ASK).encode()))


def cores() -> tuple[int | None, int | None]:
    """The server's and the generator's; no pinning where there is but one."""
    return (0, 1) if (os.cpu_count() or 1) > 1 else (None, None)


def _script(script: Script) -> dict[str, Any]:
    steps = ",".join(f"{say.hex()}:{until.hex()}" for say, until in script.steps)
    return {"upgrade": script.upgrade, **({"steps": steps} if steps else {})}


def _span(conns: range) -> dict[str, Any]:
    return {"from": conns.start, "to": conns.stop}


def _flows(told: Mapping[str, Mapping[str, Any]]) -> dict[int, Flow]:
    timed = ("latency", "last", "answer", "refuse")
    return {int(number): Flow(**{name: histogram(value) if name in timed else value for name, value in flow.items()})
            for number, flow in told.items()}
