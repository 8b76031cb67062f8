"""Apache Kafka in KRaft: each broker is a controller too. One for development and contracts, three for faults."""

import base64
import re
import subprocess
import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import trio
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local.engine import Engine, Unwell, running
from deploy.local.java import jvm
from deploy.local.member import Member
from deploy.local.packages import HERE, kafka_classes
from deploy.local.ports import answers, free_ports

_SMALL = {
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "offsets.topic.num.partitions": "4",
    "num.io.threads": "4",
    "num.network.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "group.initial.rebalance.delay.ms": "0",
}
_QUICK = {  # a broker that dies under load stalls acknowledgements 1.4 s with these, 10.9 s without
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
    "controller.quorum.fetch.timeout.ms": "1000",
    "controller.quorum.election.timeout.ms": "500",
    "replica.lag.time.max.ms": "3000",
    "replica.socket.timeout.ms": "3000",
}
_ASK_S = 2.0
_FOLLOWS = re.compile(r"Completed transition to FollowerState\(.*?\bepoch=(\d+), leader=(\d+)")


class Kafka(Engine):
    """Brokers `kafka-1`, `kafka-2`... Topics are made by whoever needs them, never by writing to them."""

    def __init__(self, folder: Path, brokers: int = 1, *, ports: list[int] | None = None, settings: Mapping[str, str] | None = None,
                 heap_mb: int = 256, detached: bool = False) -> None:
        ports = ports or free_ports(2 * brokers)
        self._ids = _directory_ids(folder, brokers)
        self._ports, self._settings = ports, {**_SMALL, **_QUICK, **(settings or {})}
        classes = f"{kafka_classes()}/*"
        start = partial(jvm, "-cp", classes, "kafka.Kafka", heap_mb=heap_mb, options=(f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",))
        super().__init__("kafka", [
            Member(f"kafka-{number}", start(str(folder / f"kafka-{number}" / "server.properties")), ports[number - 1],
                   folder / f"kafka-{number}", detached=detached)
            for number in range(1, brokers + 1)])
        self._format = partial(jvm, "-cp", classes, "kafka.tools.StorageTool", "format", "--cluster-id", _short("caas"))
        self._admin: AdminClient | None = None

    @property
    def bootstrap(self) -> str:
        """For `bootstrap.servers`."""
        return ",".join(self.addresses)

    @property
    def controller(self) -> str:
        """The name of the broker that is the active controller, as the others have written into their logs; empty while none is known."""
        found = [(int(epoch), leader) for member in self.members.values() if member.log.exists()
                 for epoch, leader in _FOLLOWS.findall(member.log.read_text(errors="replace"))]
        return f"kafka-{max(found)[1]}" if found else ""

    async def prepare(self) -> None:
        """Write each broker's settings, and format its folder the first time."""
        async with trio.open_nursery() as nursery:
            for number, member in enumerate(self.members.values(), 1):
                member.folder.mkdir(parents=True, exist_ok=True)
                (member.folder / "server.properties").write_text(self._properties(number, member))
                if not (member.folder / "data" / "meta.properties").exists():
                    nursery.start_soon(trio.to_thread.run_sync, self._formatted, member)

    async def stop(self, grace_s: float = 4.0) -> None:
        """The last of them have no controller to say good-bye to and would wait long; what they have is on disk anyway."""
        await super().stop(grace_s)

    async def lacks(self) -> str:
        """A broker that the others do not know, or a partition without a leader or with too few in step."""
        return await trio.to_thread.run_sync(self._lacks)

    def _lacks(self) -> str:
        shut = [member.name for member in self.members.values() if not answers(member.port)]
        if shut:  # the others may not have missed it yet
            return f"{shut[0]} takes no connections"
        try:
            self._admin = self._admin or AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 500,
                                                      "socket.connection.setup.timeout.ms": 2000})
            seen = self._admin.list_topics(timeout=_ASK_S)
        except KafkaException as error:
            return str(error.args[0])
        if len(seen.brokers) < len(self.members):
            return f"{len(seen.brokers)} of {len(self.members)} brokers are there"
        behind = [f"{topic.topic}/{part.id}" for topic in seen.topics.values() for part in topic.partitions.values()
                  if part.leader < 0 or len(part.isrs) < len(part.replicas)]
        return f"{len(behind)} partitions are behind, {behind[0]} first" if behind else ""

    def _controller(self, number: int) -> str:
        return f"127.0.0.1:{self._ports[len(self.members) + number - 1]}"

    def _properties(self, number: int, member: Member) -> str:
        numbers = range(1, len(self.members) + 1)
        copies = str(len(self.members))
        own = {
            "process.roles": "broker,controller",
            "node.id": str(number),
            "controller.quorum.bootstrap.servers": ",".join(self._controller(other) for other in numbers),
            "listeners": f"PLAINTEXT://127.0.0.1:{member.port},CONTROLLER://{self._controller(number)}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(member.folder / "data"),
            "default.replication.factor": copies,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "2" if len(numbers) > 2 else "1",
            "min.insync.replicas": "2" if len(numbers) > 2 else "1",
        }
        return "".join(f"{name}={value}\n" for name, value in {**own, **self._settings}.items())

    def _formatted(self, member: Member) -> None:
        voters = ",".join(f"{number}@{self._controller(number)}:{self._ids[number - 1]}" for number in range(1, len(self.members) + 1))
        done = subprocess.run(self._format("--config", str(member.folder / "server.properties"), "--initial-controllers", voters),
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unwell(f"{member.name} could not be formatted: {(done.stderr or done.stdout).strip()[-600:]}")


def kafka(folder: Path, brokers: int = 1, *, settings: Mapping[str, str] | None = None, heap_mb: int = 256) -> AbstractAsyncContextManager[Kafka]:
    """Brokers in a folder, on free ports. `settings` are added to server.properties."""
    return running(Kafka(folder, brokers, settings=settings, heap_mb=heap_mb))


def _directory_ids(folder: Path, brokers: int) -> list[str]:
    """Each broker's folder has a name the controllers know it by; the same whenever it is asked."""
    return [_short(f"{folder.absolute()}/kafka-{number}") for number in range(1, brokers + 1)]


def _short(text: str) -> str:
    """A UUID as Kafka writes it, of a text."""
    return base64.urlsafe_b64encode(uuid.uuid5(uuid.NAMESPACE_URL, text).bytes).decode().rstrip("=")
