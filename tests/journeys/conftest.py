"""What the journeys share: a real development set-up, and clients that we did not write."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest
import trio

from deploy.local.cluster import Cluster, Shape, made
from protocol.errors import CODES
from scripts.program import Said, ask
from tests.engines.needing import needing
from tests.fitting import misfit_frame

HERE = Path(__file__).parent
DEADLINE_S = 30
ON_CLUSTER = os.environ.get("JOURNEYS_ON") == "cluster"
NODES: dict[str, Sequence[str]] = {}
"""Of each cluster, by the address of its balancer: where its nodes are themselves."""


def need(program: str) -> str:
    """Where a program is. In CI it must be there; elsewhere the test is skipped, and says so."""
    found = shutil.which(program)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{program} is not installed")
    return found or pytest.skip(f"{program} is not installed: this journey was NOT made")


@contextmanager
def serving(data: Path, *arguments: str, **environment: str) -> Iterator[str]:
    """`caas dev` as a process of its own; its base address."""
    command = [sys.executable, "-m", "caas", "dev", "--port", "0", "--data", str(data), *arguments]
    errors = (data.parent / f"{data.name}.err").open("w+")
    with errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **environment}) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line.startswith("ready "), f"it did not start: {errors.seek(0)}{errors.read()}"
            yield line.split()[1]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0


@contextmanager
def clustered(folder: Path) -> Iterator[str]:
    """Two nodes on real engines, behind the balancer; its address. So a journey's steps land on either."""
    with needing():
        running = Cluster(folder, made(Shape(nodes=2, brokers=1, members=1), {}), settings={"dev": "1", "limits": "0"})
    try:
        trio.run(running.start)
        NODES[running.url] = running.nodes.addresses
        yield running.url
    finally:
        running.drop()


@contextmanager
def development(folder: Path) -> Iterator[str]:
    """A development set-up without limits; its base address. With JOURNEYS_ON=cluster it is a cluster."""
    with clustered(folder) if ON_CLUSTER else serving(folder / "data", "--limits", "off") as base:
        yield base


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One set-up for all journeys."""
    with development(tmp_path_factory.mktemp("journeys")) as base:
        yield base


def in_time(what: Callable[[], Any], expected: Any) -> None:
    """What is stored follows within a moment: lists, and all else that reads storage alone."""
    until = time.monotonic() + DEADLINE_S
    while (found := what()) != expected:
        assert time.monotonic() < until, found
        time.sleep(0.05)


def token(base: str, user: str) -> str:
    """A token for a user, as a company's backend asks for it."""
    body = json.dumps({"user": {"external_id": user}}).encode()
    asked = Request(f"{base}/api/v1/sessions/create", body, {"Authorization": "Bearer caas_sk_dev", "Content-Type": "application/json"})
    with urlopen(asked, timeout=DEADLINE_S) as answer:
        return str(json.load(answer)["token"])


GONE = {"r": {"gone": True}}
"""The process has ended."""
OWN_WORD = "closed"
"""What client.mjs itself says of its socket."""


@cache
def _described() -> dict[str, Said]:
    return {said.name: said for said in ask().commands}


def said_of(m: str) -> tuple[type[msgspec.Struct] | None, Container[str]]:
    """What is described of the answer to a command, and the codes it may be refused with."""
    said = _described().get(m)
    return (said.answers, (*said.refuses, "not_authenticated")) if said else (None, CODES)


class NodeClient:
    """A Node process that runs client.mjs."""

    def __init__(self, base: str, token: str) -> None:
        self._process = subprocess.Popen([need("node"), HERE / "client.mjs", base, token], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pushes: list[dict[str, Any]] = []

    def ask(self, m: str, **p: Any) -> dict[str, Any]:
        """Send a command and wait for its answer: `r`, or `e` under `error`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"m": m, "p": p}) + "\n")
        self._process.stdin.flush()
        while True:
            line = self._line()
            if "t" not in line:
                assert line == GONE or misfit_frame(line, *said_of(m)) == ""
                return line["r"] if "r" in line else {"error": line["e"]["code"], **line["e"]}
            self.pushes.append(line)

    def until(self, count: int, t: str, c: str | None) -> list[dict[str, Any]]:
        """Wait for so many pushes of a kind in a conversation (None: those of none)."""
        while len(found := [push for push in self.pushes if push["t"] == t and push.get("c") == c]) < count:
            line = self._line()
            assert "t" in line
            self.pushes.append(line)
        return found

    def hear(self, t: str, c: str, p: dict[str, Any]) -> None:
        """Wait for this push, whatever else of its kind comes: a user's own news may still be of an earlier journey."""
        count = 0
        while p not in [push["p"] for push in self.until(count, t, c)]:
            count = len(self.until(count, t, c)) + 1

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line: dict[str, Any] = json.loads(self._process.stdout.readline() or json.dumps(GONE))
        assert line.get("t") != "HOLE", line
        assert line.get("t", OWN_WORD) == OWN_WORD or misfit_frame(line) == ""
        return line


@pytest.fixture
def node(server: str) -> Iterator[Any]:
    """Makes Node clients by user, and ends them."""
    made: list[NodeClient] = []

    def make(user: str, base: str = server) -> NodeClient:
        made.append(NodeClient(base, token(base, user)))
        return made[-1]

    yield make
    for client in made:
        client.close()
