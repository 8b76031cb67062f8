"""Which servers there are, and how each is started."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.build import built
from bench.peers.install import HERE, program
from bench.servers.centrifuge import CentrifugeJson, CentrifugeProtobuf
from bench.servers.ours import AcceleratedChild, OwnChild
from bench.servers.plain import Plain
from bench.servers.socketio import SocketIo
from bench.servers.target import Target
from caas.acceleration import look

OURS, ACCELERATED, LOOP = "caas", "caas, accelerated", "C loop"
Start = Callable[[Path, int | None], Target]
"""From a folder for its data and log, and a core, to a server that runs."""


class Kind(NamedTuple):
    """A server that can be measured."""

    label: str
    peer: str
    """The folder in bench/peers/; empty: nothing to install."""
    start: Start

    @property
    def installed(self) -> bool:
        """Whether it can be started here."""
        if self.label == ACCELERATED:
            return look()[0].on
        return not self.peer or bool(program(self.peer))


def _peer(kind: type[Plain], label: str, name: str, **environment: str) -> Kind:
    def start(folder: Path, core: int | None) -> Target:
        return kind(label, program(name), core=core, log=folder / "log", folder=HERE / name, **environment)

    return Kind(label, name, start)


def _loop(folder: Path, core: int | None) -> Target:
    return Plain(LOOP, [str(built("ceiling"))], core=core, log=folder / "log")


KINDS = {kind.label: kind for kind in (
    Kind(LOOP, "", _loop),
    Kind(OURS, "", OwnChild),
    Kind(ACCELERATED, "", AcceleratedChild),
    _peer(Plain, "ws", "ws"),
    _peer(SocketIo, "Socket.IO", "socketio"),
    _peer(CentrifugeProtobuf, "Centrifuge", "centrifuge", GOMAXPROCS="1"),
    _peer(CentrifugeJson, "Centrifuge (JSON)", "centrifuge", GOMAXPROCS="1"),
    _peer(Plain, "uvicorn, websockets", "uvicorn"),
    _peer(SocketIo, "python-socketio", "python_socketio"),
    _peer(Plain, "trio-websocket", "trio_websocket"),
)}
"""By label, as reports name them."""


def start(label: str, folder: Path, core: int | None) -> Target:
    """Start a server with an empty folder of its own."""
    (place := folder / "".join(letter if letter.isalnum() else "-" for letter in label)).mkdir(exist_ok=True)
    return KINDS[label].start(place, core)
