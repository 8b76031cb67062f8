"""One `caas dev` for all tests of the wire, and people made as they are needed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.wire.client import Answer, Wire, rest, uuid7
from tests.wire.waiting import PARTS


class Dev:
    """A `caas dev` process: its port, tokens of its users, sockets that are closed at the end."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.out = (data / "out").open("w+")
        self.err = (data / "err").open("w+")
        caas = Path(sys.executable).parent / "caas"
        self.process = subprocess.Popen([str(caas), "dev", "--port", "0", "--data", str(data / "data"), *flags], stdout=self.out, stderr=self.err)
        self.tokens: dict[str, str] = {}
        self.sockets: list[Wire] = []
        self.count = 0
        self.port = self._ready(data / "out")

    def _ready(self, said: Path) -> int:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = re.search(r"^ready http://127\.0\.0\.1:(\d+)$", said.read_text(), re.MULTILINE)
            if found:
                return int(found[1])
            assert self.process.poll() is None, "caas dev has ended"
            time.sleep(0.05)
        raise AssertionError("caas dev is not ready")

    def stop(self) -> None:
        for one in self.sockets:
            one.end()
        self.process.terminate()
        self.process.wait(30)
        self.out.close()
        self.err.close()

    def rest(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return rest(self.port, method, path, body, **more)

    def session(self, user: str) -> dict[str, Any]:
        got = self.rest("POST", "/sessions/create", {"user": {"external_id": user}})
        assert got.status == 201, got
        return got.body

    def token(self, user: str) -> str:
        if user not in self.tokens:
            self.tokens[user] = self.session(user)["token"]
        return self.tokens[user]

    def name(self, what: str = "u") -> str:
        self.count += 1
        return f"{what}{self.count}"

    def user(self, what: str = "u") -> str:
        """A new user of the application."""
        user = self.name(what)
        self.token(user)
        return user

    def socket(self, **how: Any) -> Wire:
        one = Wire(self.port, **how)
        self.sockets.append(one)
        return one

    def connect(self, user: str, json_twin: bool = False, **hello: Any) -> Wire:
        one = self.socket(json_twin=json_twin)
        one.welcome = one.hello(self.token(user), **hello)  # type: ignore[attr-defined]
        return one


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    one = Dev(tmp_path_factory.mktemp("dev"), "--limits", "off", "--workers", os.environ.get("CAAS_WIRE_WORKERS", "2"))
    yield one
    one.stop()


@pytest.fixture(scope="session")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    one = Dev(tmp_path_factory.mktemp("limited"), "--workers", "1")
    yield one
    one.stop()


@pytest.fixture(params=["msgpack", "json"])
def twin(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "json")


Group = Callable[..., tuple[str, list[Wire]]]


@pytest.fixture
def group(dev: Dev) -> Group:
    """A group of that many connected people who all watch it: its id, their sockets (the first is the owner), each with `.user`."""

    def make(size: int = 2, json_twin: bool = False, **more: Any) -> tuple[str, list[Wire]]:
        people = [dev.user() for _ in range(size)]
        sockets = []
        for user in people:
            sockets.append(dev.connect(user, json_twin))
            sockets[-1].user = user  # type: ignore[attr-defined]
        made = sockets[0].ask("conversation.create", op=uuid7(), **{"type": "group", "members": people[1:], **more})
        c = made["conversation"]["id"]
        for one in sockets:
            one.ask("conversation.watch", c=c)
        return c, sockets

    return make


@pytest.fixture(scope="session")
def parts(dev: Dev) -> Iterator[list[Future[None]]]:
    """What waits, each in a thread of its own."""
    with ThreadPoolExecutor(len(PARTS)) as pool:
        yield [pool.submit(part(dev)) for part in PARTS]


@pytest.fixture(scope="session", autouse=True)
def begun(request: pytest.FixtureRequest) -> None:
    """What only waits (`test_waiting.py`) does so behind the other tests."""
    if any("parts" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("parts")
