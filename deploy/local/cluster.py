"""A whole cluster on this machine, in the order in which its parts need each other: Redis, Kafka, registry, MongoDB, nodes, balancer."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import trio

from deploy.local.balancer import SOURCE, Balancer
from deploy.local.engine import Engine
from deploy.local.kafka import Kafka
from deploy.local.lives import Life
from deploy.local.member import Member
from deploy.local.mongo import Mongo
from deploy.local.nodes import Nodes
from deploy.local.ports import answers, free_ports, is_free
from deploy.local.redis import Redis
from deploy.local.registry import Registry

USUAL = {"redis": [6379], "kafka": [9092, 9093, 9094, 29092, 29093, 29094], "registry": [8081], "mongo": [27017, 27018, 27019],
         "nodes": [3001, 3002, 3003], "balancer": [3000]}
"""Ports, when they are free the first time. Kafka's second half is its controllers'."""
Say = Callable[[str], None]


class Taken(Exception):
    """A port that this cluster was made with belongs to somebody else now."""


@dataclass(frozen=True)
class Shape:
    """How many of each."""

    nodes: int = 3
    brokers: int = 3
    members: int = 3
    heap_mb: int = 256


@dataclass
class Kept:
    """What lasts between a start and a stop, in `cluster.json`: how it was made, and who lives."""

    shape: Shape
    ports: dict[str, list[int]]
    password: str
    lives: dict[str, Life] = field(default_factory=dict)


class Cluster:
    """The engines in start order. `detached`: they outlive this process, and `cluster.json` tells the next one of them."""

    def __init__(self, folder: Path, kept: Kept, *, detached: bool = False, settings: Mapping[str, str] | None = None) -> None:
        """`settings`: of the nodes' configuration, by name."""
        self.folder, self._kept, self._detached = folder.absolute(), kept, detached
        shape, ports, at = kept.shape, kept.ports, self.folder
        self.redis = Redis(at, port=ports["redis"][0], detached=detached)
        self.kafka = Kafka(at, shape.brokers, ports=ports["kafka"], heap_mb=shape.heap_mb, detached=detached)
        self.registry = Registry(at, port=ports["registry"][0], detached=detached)
        self.mongo = Mongo(at, shape.members, ports=ports["mongo"], password=kept.password, detached=detached)
        self.engines: list[Engine] = [self.redis, self.kafka, self.registry, self.mongo]
        if shape.nodes:
            own = {"backend": "cluster", "kafka": self.kafka.bootstrap, "mongo": self.mongo.uri, "redis": self.redis.url,
                   "registry": self.registry.url, "workers": "1", "proxies": SOURCE,
                   "kafka_replicas": str(min(3, shape.brokers)), **(settings or {})}
            self.nodes = Nodes(at, shape.nodes, own, ports=ports["nodes"], detached=detached)
            self.balancer = Balancer(at, self.nodes.addresses, port=ports["balancer"][0], detached=detached)
            self.engines += [self.nodes, self.balancer]
        for member in self.members():
            member.life = kept.lives.get(member.name)

    @property
    def url(self) -> str:
        """What clients are told: the balancer's."""
        return self.balancer.url

    def members(self) -> Iterator[Member]:
        """All, in start order."""
        for engine in self.engines:
            yield from engine.members.values()

    def member(self, name: str) -> Member:
        """By name. Raises KeyError."""
        return {member.name: member for member in self.members()}[name]

    async def start(self, say: Say = lambda line: None) -> None:
        """Start what does not run, each when those before it are well. Raises Unwell, Missing, Taken."""
        for member in self.members():
            if not member.alive and not is_free(member.port):
                raise Taken(f"{member.name}'s port {member.port} is taken: stop what uses it, or remove {self.folder} and begin anew")
        for engine in self.engines:
            began = trio.current_time()
            try:
                await engine.start()
            finally:
                self.keep()
            say(f"{engine.name:<9} well after {trio.current_time() - began:4.1f} s   {' '.join(engine.addresses)}")

    async def stop(self, say: Say = lambda line: None) -> None:
        """In reverse order: nobody loses what it needs."""
        for engine in reversed(self.engines):
            await engine.stop()
            say(f"{engine.name:<9} stopped")
            self.keep()

    def drop(self) -> None:
        """SIGKILL all, in reverse order."""
        for engine in reversed(self.engines):
            engine.drop()

    def keep(self) -> None:
        """Write down who lives."""
        self._kept.lives = {member.name: member.life for member in self.members() if member.life and member.alive}
        if self._detached:
            write_kept(self.folder, self._kept)


def state_of(member: Member) -> str:
    """`ready`, `unwell` (it takes no connections), `paused` or `gone`."""
    if not member.alive:
        return "gone"
    return "paused" if member.paused else "ready" if answers(member.port, member.host) else "unwell"


def read_kept(folder: Path) -> Kept | None:
    """What was kept in a folder; None when no cluster was made there."""
    try:
        return msgspec.json.decode((folder / "cluster.json").read_bytes(), type=Kept)
    except FileNotFoundError:
        return None


def write_kept(folder: Path, kept: Kept) -> None:
    """Whole or not at all; for its owner alone, for there is a password in it."""
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / "cluster.json.half"
    half.touch(mode=0o600)
    half.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
    half.replace(folder / "cluster.json")


def made(shape: Shape, usual: Mapping[str, list[int]] = USUAL) -> Kept:
    """A cluster that was never started: on the usual ports where they are free, on others where not."""
    counts = {"redis": 1, "kafka": 2 * shape.brokers, "registry": 1, "mongo": shape.members, "nodes": shape.nodes, "balancer": 1}
    return Kept(shape, {name: _ports(usual.get(name, []), count) for name, count in counts.items()}, secrets.token_hex(16))


def resized(kept: Kept, nodes: int, port: int) -> Kept:
    """The same cluster with another number of nodes, behind another port."""
    ports = {**kept.ports, "nodes": kept.ports["nodes"][:nodes], "balancer": [port]}
    ports["nodes"] += free_ports(nodes - len(ports["nodes"]))
    return replace(kept, shape=replace(kept.shape, nodes=nodes), ports=ports)


def _ports(usual: list[int], count: int) -> list[int]:
    return usual[:count] if len(usual) >= count and all(is_free(port) for port in usual[:count]) else free_ports(count)


@asynccontextmanager
async def cluster(folder: Path, shape: Shape = Shape(), **settings: Any) -> AsyncIterator[Cluster]:
    """A cluster for a test: on free ports, well when the block begins, gone when it ends."""
    running = Cluster(folder, made(shape, {}), settings={name: str(value) for name, value in settings.items()})
    try:
        await running.start()
        yield running
    finally:
        running.drop()
