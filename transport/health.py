"""How it is: alive, ready, and in figures. Three routes without a token, and the figures themselves.

Figures are plain integers where they arise; nothing on a hot path knows of Prometheus. Once a second each worker writes what has
been added into its own small mapped file, and a scrape, at whichever worker it lands, sums the files of all. So what a worker
counted before it was killed still counts, but for its last second.
"""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values
from quart import Response

from protocol.examples import Example
from protocol.replies import Health
from transport.answering import answer
from transport.openapi.routes import Route, Routes

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_EVERY_S = 1.0
_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client looks here whenever it makes a file
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The figures of one worker, and the sum over all."""

    def __init__(self, folder: Path, worker: str, members: Callable[[], Collection[str]]) -> None:
        """`folder` is shared by the workers of the node; `members` are those alive. One of these for each process."""
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[_FOLDER_VARIABLE] = str(folder)
        values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
        self._folder, self._members = folder, members
        self._own = CollectorRegistry()
        self._counts: list[tuple[Counter, Callable[[], int]]] = []
        self._pushed: list[int] = []
        self._levels: list[tuple[Gauge, Callable[[], float]]] = []
        self._requests = Counter("caas_http_requests", "REST requests, by route and status.", ("method", "route", "status"), registry=self._own)
        self._seconds = Histogram("caas_http_request_seconds", "How long REST requests took.", registry=self._own, buckets=_BUCKETS)

    def count(self, name: str, meaning: str, read: Callable[[], int]) -> None:
        """A figure that only rises within this process; over the node it is the sum, restarts included."""
        self._counts.append((Counter(name, meaning, registry=self._own), read))
        self._pushed.append(0)

    def level(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A figure that rises and falls; over the node it is the sum of the live workers."""
        self._levels.append((Gauge(name, meaning, registry=self._own, multiprocess_mode="livesum"), read))

    def timing(self, name: str, meaning: str, label: str) -> Callable[[str, float], None]:
        """Spans of time, by the value of a label; what is returned is told each, in seconds."""
        histogram = Histogram(name, meaning, (label,), registry=self._own, buckets=_BUCKETS)
        return lambda value, seconds: histogram.labels(value).observe(seconds)

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """One REST request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.observe(seconds)

    async def run(self) -> None:
        """Write what was added, once a second, until cancelled."""
        try:
            while True:
                self.push()
                await trio.sleep(_EVERY_S)
        finally:
            self.push()
            for gauge, _ in self._levels:
                gauge.set(0)

    def push(self) -> None:
        """Write what was added since the last time."""
        for place, (counter, read) in enumerate(self._counts):
            now = read()
            counter.inc(max(0, now - self._pushed[place]))
            self._pushed[place] = now
        for gauge, read_level in self._levels:
            gauge.set(read_level())

    def text(self) -> bytes:
        """All workers' figures, as Prometheus reads them."""
        self.push()
        self._forget_levels_of_the_dead()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _forget_levels_of_the_dead(self) -> None:
        alive = {f"gauge_livesum_{worker}.db" for worker in self._members()}
        for file in self._folder.glob("gauge_livesum_*.db"):
            if file.name not in alive:
                file.unlink(missing_ok=True)


ALIVE: Final = Route(name="server.health", method="GET", path="/health", summary="Whether the process lives.", answers=Health, who="anyone",
                     example=Example({}, {"status": "alive"}))
READY: Final = Route(name="server.ready", method="GET", path="/ready", summary="Whether it can serve; 503 while it cannot.", answers=Health,
                     who="anyone", besides=((503, Health, {"status": "not ready"}),), example=Example({}, {"status": "ready"}))
FIGURES: Final = Route(name="server.metrics", method="GET", path="/metrics", summary="Figures for Prometheus, summed over the workers of the node.",
                       media=("text/plain",), who="anyone")


def add_health(routes: Routes, ready: Callable[[], bool], metrics: Callable[[], bytes]) -> None:
    """`/health` (alive), `/ready` (200 when it can serve, else 503) and `/metrics`."""

    async def health() -> Response:
        return answer({"status": "alive"}, 200)

    async def readiness() -> Response:
        return answer({"status": "ready"}, 200) if ready() else answer({"status": "not ready"}, 503)

    async def figures() -> Response:
        return Response(metrics(), 200, content_type=CONTENT_TYPE)

    routes.add(ALIVE, health)
    routes.add(READY, readiness)
    routes.add(FIGURES, figures)
