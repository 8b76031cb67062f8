"""`caas bench`: load for a set-up of one's own, with what comes of it while it goes on."""

import importlib
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from cyclopts import Parameter
from hdrh.histogram import HdrHistogram
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.build import BUILT, NoCompiler, built
from bench.generate import MARKER, Broken, Flow, Generator, Pace, Ran, text_of
from bench.server import KEY
from bench.servers.ours import Ours
from bench.sketch import BARS, sketch
from caas.options import Mistake
from protocol import limits

LONGEST_S, MOST_CONNECTIONS = 600, 15_000
"""A token lasts 15 minutes; a process may open some 20,000 files."""
OF_ONE_ADDRESS = 20
"""Connections, where they come from addresses 127.0.0.x: fewer than the door of a set-up with limits lets in."""
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)

Url = Annotated[str, Parameter(help="Where the set-up is, http only: the generator speaks no TLS, so go behind the balancer.")]
Key = Annotated[str, Parameter(help="An application's secret key; by default that of `caas dev`.")]
Rooms = Annotated[int, Parameter(help="Rooms to make; they are deleted at the end, their users stay.")]
Members = Annotated[int, Parameter(help="Members of each room, all connected and watching; the first of them writes.")]
Rate = Annotated[float, Parameter(help="Messages a second, over all rooms, whatever the server makes of them.")]
Seconds = Annotated[float, Parameter(help="How long.")]
Size = Annotated[int, Parameter(help="Bytes of text in a message.")]
Plot = Annotated[Path | None, Parameter(help="A PNG of the latencies (needs matplotlib).")]


class Load(NamedTuple):
    """What was asked for."""

    rooms: int
    members: int
    rate: float
    seconds: float
    size: int


def bench(*, url: Url = "http://127.0.0.1:3000", key: Key = KEY, rooms: Rooms = 10, members: Members = 10, rate: Rate = 100, seconds: Seconds = 10,
          size: Size = 100, plot: Plot = None) -> int:
    """Put load on a set-up, and show how late deliveries and answers are. It makes users, rooms and messages there: not for one in use."""
    load = Load(rooms, members, rate, seconds, size)
    _check(url, load, plot)
    console = Console(highlight=False)
    try:
        with ExitStack() as stack:
            generator = stack.enter_context(Generator(program=_program(console)))
            target = Ours(url, key)
            stack.callback(target.stop)
            ran = _run(generator, target, load, console)
    except (Broken, OSError) as failed:
        print(f"caas: {failed}", file=sys.stderr)
        return 1
    _show(ran, load, console)
    if plot:
        _picture(ran.flows[0], plot)
    return int(any(ran.faults.values()))


def _check(url: str, load: Load, plot: Path | None) -> None:
    if urlsplit(url).scheme != "http" or not urlsplit(url).hostname:
        raise Mistake(f"`{url}` is no http://host:port; the load generator speaks no TLS, so name the set-up's own port, behind the balancer")
    if load.rooms < 1 or load.members < 2 or load.rate <= 0 or not 0 < load.seconds <= LONGEST_S:
        raise Mistake(f"rooms are 1 or more, members 2 or more, the rate is above 0, and seconds are at most {LONGEST_S}: a token lasts 15 minutes")
    if load.rooms * load.members > MOST_CONNECTIONS:
        raise Mistake(f"{load.rooms * load.members:,} connections are more than one process may open: take {MOST_CONNECTIONS:,}, or run several")
    if not len(MARKER) <= load.size <= limits.TEXT:
        raise Mistake(f"a message has {len(MARKER)} to {limits.TEXT:,} bytes: the first {len(MARKER)} say when it was sent")
    if plot:
        try:
            importlib.import_module("matplotlib")
        except ModuleNotFoundError:
            raise Mistake("a picture needs matplotlib (pip install matplotlib); the table and the sketch do not: leave --plot out") from None


def _program(console: Console) -> Path:
    """The generator: built before, or built now, beside its sources or else where one may write."""
    try:
        try:
            return built("generate")
        except OSError:  # installed where one may not write
            return built("generate", Path.home() / ".cache" / "caas-bench")
    except NoCompiler as missing:
        console.print(f"[dim]looked for {BUILT.name}/generate beside the bench[/]")
        raise Mistake(str(missing)) from None


def _run(generator: Generator, target: Ours, load: Load, console: Console) -> Ran:
    mark = f"bench-{time.time_ns() // 1_000_000:x}"
    made: list[str] = []
    try:
        with console.status("") as status:
            for room in range(load.rooms):
                status.update(f"making room {room + 1} of {load.rooms}, with {load.members} members")
                _room(target, f"{mark}-{room}", load.members)
                made.append(f"{mark}-{room}")
            status.update(f"opening {load.rooms * load.members:,} connections")
            opened = _open(generator, target, made, load)
        console.print(f"{opened['ready']:,} connections in {opened['seconds']:.1f} s")
        with Live(console=console, refresh_per_second=4) as live:
            shown = _Progress(load, live)
            return generator.run(load.seconds, {0: Pace(rate=load.rate)}, progress=shown)
    finally:
        for name in made:
            target.rest.delete(f"/conversations/{name}")


def _room(target: Ours, name: str, members: int) -> None:
    target.room(name, [f"{name}-{number}" for number in range(members)])


def _open(generator: Generator, target: Ours, names: Sequence[str], load: Load) -> dict[str, Any]:
    generator.speak(target.dialect, target.host, target.port, per_address=OF_ONE_ADDRESS)
    for room, name in enumerate(names):
        conns = range(room * load.members, (room + 1) * load.members)
        for number in range(load.members):
            generator.add(target.script(f"{name}-{number}", [name]))
        stream = generator.stream(conns.start, load.members, target.publish(name, len(text_of(load.size))))
        generator.expect(conns, range(stream, stream + 1))
    try:
        return generator.open(range(load.rooms * load.members), at_once=OF_ONE_ADDRESS)
    except Broken as failed:
        raise Broken(f"{failed}. With its limits on, a set-up lets in 100 connections from an address, and 50 new ones a second") from failed


class _Progress:
    """What is shown while it goes on: how many, how fast, and the last half minute of it."""

    def __init__(self, load: Load, live: Live) -> None:
        self._load, self._live = load, live
        self._before: Mapping[str, Any] = {"seconds": 0.0, "deliveries": 0, "sent": 0}
        self._rates: list[float] = []

    def __call__(self, told: Mapping[str, Any]) -> None:
        passed = max(told["seconds"] - self._before["seconds"], 1e-9)
        self._rates = [*self._rates[-59:], (told["deliveries"] - self._before["deliveries"]) / passed]
        self._before = told
        highest = max(self._rates) or 1.0
        bars = "".join(BARS[min(len(BARS) - 1, int(rate / highest * len(BARS)))] for rate in self._rates)
        done = min(1.0, told["seconds"] / self._load.seconds)
        self._live.update(Group(
            Text(f"{told['seconds']:6.1f} s of {self._load.seconds:g}  [{'=' * int(done * 30):30}]"),
            Text(f"sent {told['sent']:,}   answered {told['answered']:,}   delivered {told['deliveries']:,}   {self._rates[-1]:,.0f} deliveries/s"),
            Text(bars, style="green")))


def _show(ran: Ran, load: Load, console: Console) -> None:
    flow = ran.flows[0]
    console.print()
    table = Table("ms", *("max" if one == 100 else f"p{one:g}" for one in PERCENTILES), "count", box=None, header_style="bold", pad_edge=False)
    for name, times in _times(flow).items():
        table.add_row(name, *(f"{times.get_value_at_percentile(one) / 1000:.2f}" for one in PERCENTILES), f"{times.get_total_count():,}")
    console.print(table)
    for line in sketch(_times(flow)):
        console.print(Text(line))
    console.print(Text(f"{flow.sent:,} sent in {ran.seconds:.1f} s ({flow.sent / ran.seconds:,.0f}/s of {load.rate:g}), "
                       f"{flow.delivered:,} deliveries of {flow.expected:,}; times run from when a message was to be sent"))
    if flow.refused:
        console.print(Text(f"{flow.refused:,} were refused: {flow.refusal}", style="yellow"))
    wrong = ", ".join(f"{count:,} {name}" for name, count in ran.faults.items() if count and not (name == "gaps" and flow.refused))
    console.print(Text(f"WRONG: {wrong}" if wrong else "each delivery came once, in order, without a gap", style="red" if wrong else "green"))
    if flow.behind_us > 10_000:
        console.print(Text(f"the generator was up to {flow.behind_us / 1000:.0f} ms late itself: this machine is too busy to measure on",
                           style="yellow"))


def _times(flow: Flow) -> dict[str, HdrHistogram]:
    named = {"delivery": flow.latency, "last of the room": flow.last, "answer": flow.answer}
    return {name: times for name, times in named.items() if times.get_total_count()}


def _picture(flow: Flow, into: Path) -> None:
    from bench.plots import draw_times

    draw_times(_times(flow), into)
