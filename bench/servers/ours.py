"""Ours: `caas dev` with limits off on one core, or any set-up that has an address and a secret key."""

import contextlib
import http.client
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgpack

from bench.generate import A_UUID, ASK, Broken, Dialect, Publish, Script, client_frame, publish, text_of, upgrade
from bench.server import KEY, Server

DURABILITY = "on disk (fsync) before the answer and before anybody gets it; rights checked"
S = TypeVar("S")
T = TypeVar("T")


class Rest:
    """A set-up's REST interface with a secret key, over connections that are kept: as many as have ever asked at the same time, for a door
    with limits on counts what comes from one address."""

    def __init__(self, base: str, key: str) -> None:
        self._at, self._key = urlsplit(base), key
        self._idle: list[http.client.HTTPConnection] = []

    def post(self, path: str, body: dict[str, Any], acting: str = "") -> Any:
        """The answer. Raises Broken for a refusal."""
        return self._ask("POST", path, body, acting)

    def get(self, path: str, acting: str = "") -> Any:
        """The same."""
        return self._ask("GET", path, None, acting)

    def delete(self, path: str, acting: str = "") -> Any:
        """The same."""
        return self._ask("DELETE", path, None, acting)

    def close(self) -> None:
        """End the connections."""
        while self._idle:
            self._idle.pop().close()

    def _ask(self, method: str, path: str, body: Any, acting: str) -> Any:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", **({"CAAS-User": acting} if acting else {})}
        for last in (False, True):
            connection = self._connection(fresh=last)
            try:
                connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                said = answer.read()
                self._idle.append(connection)
                break
            except (http.client.HTTPException, ConnectionError) as error:  # it was kept too long: once more on a fresh one
                connection.close()
                if last:
                    raise Broken(f"{path}: {error}") from error
        if answer.status >= 300:
            raise Broken(f"{method} {path} was refused: {answer.status} {_sentence(said)}")
        return json.loads(said)

    def _connection(self, *, fresh: bool) -> http.client.HTTPConnection:
        with contextlib.suppress(IndexError):  # several threads ask
            if not fresh:
                return self._idle.pop()
        kind = http.client.HTTPSConnection if self._at.scheme == "https" else http.client.HTTPConnection
        return kind(self._at.hostname or "127.0.0.1", self._at.port, timeout=60)


class Ours:
    """A set-up reached over the network; what its processes use is not seen."""

    name = "caas"
    durability = DURABILITY
    dialect = Dialect("msgpack", counted=b"presence.changed")

    def __init__(self, base: str, key: str) -> None:
        parts = urlsplit(base)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.rest = Rest(base, key)
        self._tokens: dict[str, str] = {}

    def users(self, names: Sequence[str]) -> None:
        """Make them, and keep a token of each."""
        fresh = [name for name in names if name not in self._tokens]
        self._tokens.update(zip(fresh, each(self._session, fresh), strict=True))

    def room(self, name: str, members: Sequence[str]) -> None:
        """A group of these."""
        self.users(members)
        self.rest.post("/conversations", {"id": name, "type": "group", "members": list(members[:100])}, members[0])
        for begin in range(100, len(members), 100):
            self.rest.post(f"/conversations/{name}/members", {"users": list(members[begin:begin + 100])}, members[0])

    def script(self, user: str, rooms: Sequence[str], *more: tuple[str, dict[str, Any]]) -> Script:
        """hello, then watch each room, then whatever else."""
        commands = [("hello", {"token": self._tokens[user]}), *(("conversation.watch", {"c": room}) for room in rooms), *more]
        return Script(upgrade("/ws", protocol="caas.v1", host=f"{self.host}:{self.port}"), tuple(step(n, *one) for n, one in enumerate(commands, 1)))

    def resume(self, user: str, seqs: dict[str, int], epoch: int) -> Script:
        """hello, with what was seen last of some rooms."""
        hello = {"token": self._tokens[user], "resume": {room: {"seq": seq, "epoch": epoch} for room, seq in seqs.items()}}
        return Script(upgrade("/ws", protocol="caas.v1", host=f"{self.host}:{self.port}"), (step(1, "hello", hello),))

    def publish(self, room: str, size: int) -> Publish:
        """message.send"""
        return self.command("message.send", {"c": room, "id": A_UUID, "text": text_of(size)})

    def command(self, name: str, p: dict[str, Any]) -> Publish:
        """Any command, numbered by the generator."""
        return publish(client_frame(msgpack.packb({"i": ASK, "m": name, "p": p})))

    def position(self, room: str, user: str) -> tuple[int, int]:
        """A room's head, and the epoch."""
        told = self.rest.get(f"/conversations/{room}/sync?after=0&limit=1", user)
        return told["head"], told["epoch"]

    def cpu_s(self) -> float:
        """Not known."""
        return 0.0

    def rss_kb(self) -> int:
        """Not known."""
        return 0

    def stop(self) -> None:
        """Let go of it: it is not ours to stop."""
        self.rest.close()

    def _session(self, user: str) -> str:
        return str(self.rest.post("/sessions/create", {"user": {"external_id": user}})["token"])


class OwnChild(Ours):
    """`caas dev --limits off` as a child process, in pure Python."""

    accelerated = "off"

    def __init__(self, folder: Path, core: int | None, workers: int = 1, limits: str = "off") -> None:
        self.server = Server(folder / "data", workers=workers, log=folder / "log", cores=None if core is None else {core}, limits=limits,
                             settings={"CAAS_ACCELERATED": self.accelerated})
        self.server.__enter__()
        super().__init__(self.server.base, KEY)

    def cpu_s(self) -> float:
        """Of the workers."""
        return self.server.cpu_s()

    def rss_kb(self) -> int:
        """Of the workers."""
        return self.server.rss_kb()

    def stop(self) -> None:
        """SIGTERM, and what follows."""
        super().stop()
        self.server.stop()


class AcceleratedChild(OwnChild):
    """The same on compiled modules."""

    name = "caas, accelerated"
    accelerated = "on"


def _sentence(said: bytes) -> str:
    """What a refusal says for people."""
    try:
        return str(json.loads(said)["message"])
    except (ValueError, LookupError, TypeError):
        return said.decode(errors="replace")[:300]


def step(number: int, name: str, p: dict[str, Any]) -> tuple[bytes, bytes]:
    """A command's frame, and how the reply to it begins when it is done."""
    return client_frame(msgpack.packb({"i": number, "m": name, "p": p})), b"\xa1i" + msgpack.packb(number) + b"\xa1r"


def each(work: Callable[[S], T], things: Sequence[S]) -> list[T]:
    """The same for many, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, things))
