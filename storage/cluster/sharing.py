"""Storing, divided over the nodes: one worker of each joins a consumer group, and what the group assigns it, the node stores.

The group is used for this alone: nothing is read through it and nothing is committed to it, so whatever it does wrong does no harm. Two
nodes that store the same write the same; what nobody stores is taken over after a while by those who follow it.

Which worker joins for the node, a file lock decides, that dies with it; the others read what it wrote down.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Collection
from pathlib import Path

import msgspec
import trio
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from storage.cluster.kafka import ANSWER_S, Kafka
from storage.ports.errors import StorageAway

_log = logging.getLogger("storage.cluster")

_LOOK_S = 0.25
_CLOSE_S = 5.0
_SESSION_MS = 6_000
"""A node that says nothing for so long stores nothing any more; the others share what it had."""
_NAME = "storing"
_TRIES = 60
_MOVING = frozenset({KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS})
"""What brokers say of a group for some seconds: while they make their first, and whenever another one looks after it."""


class Share:
    """What this node stores, as one of its workers sees it. Until the group has said something for the first time, everything."""

    def __init__(self, kafka: Kafka, topic: str, node: str, folder: Path) -> None:
        self._kafka, self._topic, self._node = kafka, topic, node
        self._lock, self._said = folder / f"{_NAME}.lock", folder / f"{_NAME}.json"
        self.ours: Collection[int] | None = None
        self._member: _Member | None = None

    async def run(self) -> None:
        """Look who stores what, for as long as the worker lives; and join for the node where nobody else does."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                if self._member is None and _is_ours(descriptor):
                    self._member = _Member(self._kafka, self._topic, self._node, self._said)
                    self._member.start()
                self.ours = self._read()
                await trio.sleep(_LOOK_S)
        finally:
            if self._member is not None:
                self._member.closing = True
                with trio.move_on_after(_CLOSE_S, shield=True):
                    await trio.to_thread.run_sync(self._member.ended.wait, _CLOSE_S)
            os.close(descriptor)

    def _read(self) -> Collection[int] | None:
        try:
            said = msgspec.json.decode(self._said.read_bytes(), type=dict[str, list[int]])
        except (OSError, msgspec.MsgspecError):
            return self.ours
        return frozenset(said[self._topic]) if self._topic in said else self.ours


class _Member:
    """The node, as the group knows it: a thread that keeps it there."""

    def __init__(self, kafka: Kafka, topic: str, node: str, said: Path) -> None:
        self._topic, self._said = topic, said
        self._consumer = kafka.consumer(**{
            "group.id": kafka.storing_group, "client.id": node, "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": _SESSION_MS, "heartbeat.interval.ms": 1_000,
        })
        self._ours: set[int] = set()
        self.closing, self.ended = False, threading.Event()

    def start(self) -> None:
        """Join."""
        threading.Thread(target=self._run, name="kafka-storing", daemon=True).start()

    def _run(self) -> None:
        try:
            self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
            while not self.closing:
                self._consumer.poll(_LOOK_S)
            self._consumer.close()
        except KafkaException as error:
            _log.error("this node has left the group that divides storing: %s", error)
        finally:
            self.ended.set()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Nothing is to be read: they are paused at once."""
        these = [TopicPartition(self._topic, each.partition, OFFSET_END) for each in partitions]
        consumer.incremental_assign(these)
        consumer.pause(these)
        self._ours |= {each.partition for each in partitions}
        self._write()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_unassign(partitions)
        self._ours -= {each.partition for each in partitions}
        self._write()

    def _write(self) -> None:
        _log.info("this node stores %d partitions", len(self._ours))
        written = self._said.with_suffix(".new")
        written.write_bytes(msgspec.json.encode({self._topic: sorted(self._ours)}))
        written.replace(self._said)


def _is_ours(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def nodes_at_work(kafka: Kafka) -> list[str]:
    """The nodes that store, as the group knows them: a node that died counts for some seconds more. Blocks. Raises StorageAway."""
    admin, pause = kafka.admin(), threading.Event()
    for _ in range(_TRIES):
        [asked] = admin.describe_consumer_groups([kafka.storing_group], request_timeout=ANSWER_S).values()
        try:
            error = asked.exception(ANSWER_S + 1)
        except TimeoutError as late:
            error = late
        if error is None:
            return sorted({member.client_id for member in asked.result().members})
        code = error.args[0].code() if isinstance(error, KafkaException) else None
        if code == KafkaError.GROUP_ID_NOT_FOUND:
            return []
        if code not in _MOVING:
            break
        pause.wait(_LOOK_S)
    raise StorageAway(f"Kafka does not say who is at work: {error}")
