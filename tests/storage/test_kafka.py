"""What is Kafka's alone: the shape of records, topics that are refused, a log that was lost or cut short, shortening it, turns of tenants."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from caas.world import SystemClock
from deploy.local.engines import Kafka, Mongo, Redis
from storage.cluster.features import finalized, read_features
from storage.cluster.following import Reach, start_of
from storage.cluster.kafka import Kafka as Names
from storage.cluster.records import key_of, rows_of, value_of
from storage.cluster.settings import raise_generation
from storage.cluster.shortening import Shortening
from storage.cluster.topics import prepare, topics_of, wrong_features, wrong_partitions, wrong_settings
from storage.failing import Fatal, Unfit
from storage.ports.entry import NOWHERE, Place, intact
from storage.ports.errors import StorageAway, TooMuch
from storage.ports.log import Record, Storing
from storage.turns import MOST_OF_TENANT
from tests.contracts.data import ONE, append, entry, follow, read, record, step, stored
from tests.storage.clusters import PARTITIONS, made
from tests.storage.halves import fresh

THREE = Names("b:9092", "caas")


@pytest.fixture
def cluster(kafka: Kafka, mongo: Mongo, redis: Redis, tmp_path: Path) -> Iterator[Any]:
    with made(kafka, mongo, redis, tmp_path) as open_one:
        yield open_one


# Records.


def test_a_record_comes_back_as_it_was() -> None:
    sent = record(1, 2, 3)
    rows = rows_of(3, 2, 7, key_of(sent), value_of(sent, 41))
    assert [row.data for row in rows] == list(sent.entries)
    assert [row.place for row in rows] == [Place(2, 7, 0), Place(2, 7, 1), Place(2, 7, 2)]
    assert {(row.partition, row.tenant, row.conversation) for row in rows} == {(3, ONE.tenant, "c")}
    assert value_of(sent, 41)[:5] == b"\0\0\0\0\x29"


@pytest.mark.parametrize(("key", "value"), [
    (None, None), (b"", b""), (key_of(record(1)), b"{}"), (key_of(record(1)), value_of(record(1))[:-1]), (b"\0\0\0\1a", value_of(record(1))),
    (key_of(record(1)) + b"x", value_of(record(1))), (b"\0\0\0\1\xff\0\0\0\0", value_of(record(1))),
    (key_of(record(1)), b"\1" + value_of(record(1))[1:]),
])
def test_what_is_no_record_of_ours_is_damaged(key: bytes | None, value: bytes | None) -> None:
    [row] = rows_of(3, 1, 7, key, value)
    assert not intact(row.data)
    assert row.place == Place(1, 7, 0)


# Where a reader begins.


@pytest.mark.parametrize(("after", "reach", "start"), [
    (NOWHERE, Reach(0, 0), 0), (NOWHERE, Reach(0, 9), 0), (Place(2, 4, 1), Reach(0, 9), 4), (Place(2, 4, 1), Reach(4, 5), 4),
    (Place(2, 4, 1), Reach(5, 5 + 4), 5), (Place(1, 99, 0), Reach(0, 3), 0),
])
def test_it_begins_right_after_the_place(after: Place, reach: Reach, start: int) -> None:
    assert start_of(3, after, 2, reach) == start


@pytest.mark.parametrize(("after", "reach", "says"), [
    (NOWHERE, Reach(1, 9), "begins at 1"), (Place(2, 4, 0), Reach(6, 9), "begins at 6"), (Place(2, 4, 0), Reach(0, 4), "ends at 4"),
    (Place(2, 0, 0), Reach(0, 0), "ends at 0"), (Place(3, 0, 0), Reach(0, 9), "generation 3"), (Place(1, 4, 0), Reach(2, 9), "begins at 2"),
])
def test_it_does_not_begin_where_entries_are_missing(after: Place, reach: Reach, says: str) -> None:
    with pytest.raises(Fatal, match=says):
        start_of(3, after, 2, reach)


# Topics.


def test_each_setting_that_is_not_as_it_must_be_is_told_with_what_to_do() -> None:
    topic, _ = topics_of(THREE, 64, 1)
    safe = dict(topic.config)
    assert wrong_settings(topic, safe) == []
    assert wrong_settings(topic, {**safe, "min.insync.replicas": "3", "max.message.bytes": "99999999"}) == []
    for name, bad in (("cleanup.policy", "compact"), ("retention.ms", "604800000"), ("retention.bytes", "1"), ("min.insync.replicas", "1"),
                      ("unclean.leader.election.enable", "true"), ("max.message.bytes", "1000")):
        [said] = wrong_settings(topic, {**safe, name: bad})
        assert f"{name}={bad}" in said
        assert f"--add-config {name}={safe[name]}" in said
    assert wrong_partitions(topic, dict.fromkeys(range(64), 3)) == ""
    assert "63 partitions and must have 64" in wrong_partitions(topic, dict.fromkeys(range(63), 3))
    assert "2 replicas and must have 3" in wrong_partitions(topic, {**dict.fromkeys(range(64), 3), 5: 2})


def test_without_eligible_leader_replicas_nothing_is_served() -> None:
    assert wrong_features({"eligible.leader.replicas.version": 1}) == ""
    assert "upgrade --feature eligible.leader.replicas.version=1" in wrong_features({"eligible.leader.replicas.version": 0})
    assert "eligible leader replicas are off" in wrong_features({})


@pytest.mark.parametrize("answer", [b"", b"\0\0\0\1\0\x23\1\0\0\0\0\0", b"\0\0\0\1\0\0\5\0"])
def test_an_answer_that_is_none_is_refused(answer: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        read_features(answer)


@pytest.mark.real
async def test_topics_are_made_and_looked_at(kafka: Kafka) -> None:
    names = Names(kafka.bootstrap, fresh(), replicas=1)
    assert finalized(names)["eligible.leader.replicas.version"] >= 1
    with pytest.raises(Unfit, match=r"there is no topic .*: make it with `kafka-topics.sh .* --partitions 4 .*retention.ms=-1"):
        await prepare(names._replace(create=False), 4, 1)
    with pytest.raises(Unfit, match="needs 3 brokers"):
        await prepare(names._replace(replicas=3), 4, 1)
    await prepare(names, 4, 1)
    await prepare(names._replace(create=False), 4, 1)
    with pytest.raises(Unfit, match="4 partitions and must have 5"):
        await prepare(names, 5, 1)
    with pytest.raises(Unfit, match="1 replicas and must have 3"):
        await prepare(names._replace(replicas=3), 4, 1)
    await trio.to_thread.run_sync(_set, kafka, names.log_topic(1), "retention.ms", "1000")
    with trio.fail_after(10), pytest.raises(Unfit, match=r"retention\.ms=1000 and must have -1"):
        while True:  # brokers learn of it a moment later
            await prepare(names, 4, 1)


async def test_no_kafka_at_all_is_storage_away() -> None:
    with pytest.raises(StorageAway, match=r"127\.0\.0\.1:1 cannot be reached: .*Connection refused.*is it started"):
        await prepare(Names("127.0.0.1:1", fresh(), replicas=1), 4, 1)


def _set(kafka: Kafka, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    [asked] = admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]).values()
    asked.result(10)


# A log that is not what it was.


@pytest.mark.real
async def test_a_log_that_lost_what_was_stored_stops_the_worker(cluster: Any) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(Fatal, match="partition 3 is stored up to offset 7, and the log ends at 1"), flatten_subgroups=True):
        async with cluster() as node:
            await append(node.log, record(1))
            await node.log.follow({3: Place(1, 7, 0)})


@pytest.mark.real
async def test_a_log_that_was_shortened_by_others_stops_the_worker(cluster: Any) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(Fatal, match="partition 3 is stored up to offset 0, and the log begins at 3"), flatten_subgroups=True):
        async with cluster() as node:
            for number in range(4):
                await append(node.log, record(number))
            await trio.to_thread.run_sync(_delete, cluster.engines.kafka, 3)
            await node.log.follow({3: Place(1, 0, 0)})


@pytest.mark.real
async def test_a_log_that_is_cut_short_while_it_is_read_stops_the_worker(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def as_it_was(*asked: Any) -> dict[int, Reach]:
        return {3: Reach(0, 100)}

    monkeypatch.setattr("storage.cluster.following.reach", as_it_was)
    with pytest.RaisesGroup(pytest.RaisesExc(Fatal, match="cannot be read where this worker left off"), flatten_subgroups=True):
        async with cluster() as node:
            await append(node.log, record(1))
            with trio.fail_after(20):
                await node.log.follow({3: Place(1, 50, 0)})


def _delete(names: Names, before: int) -> None:
    admin = names.admin()
    [asked] = admin.delete_records([TopicPartition(names.log_topic(1), 3, before)]).values()
    asked.result(10)


@pytest.mark.real
async def test_a_foreign_record_comes_as_a_damaged_entry(cluster: Any) -> None:
    async with cluster() as node:
        await follow(node.log, 3)
        await append(node.log, record(1))
        producer = cluster.engines.kafka.producer()
        producer.produce(cluster.engines.kafka.log_topic(1), b"hello", b"who", 3)
        await trio.to_thread.run_sync(producer.flush, 10)
        await append(node.log, record(2))
        assert [intact(row.data) for row in await read(node.log, 3)] == [True, False, True]


@pytest.mark.real
async def test_a_new_generation_is_a_log_of_its_own(cluster: Any) -> None:
    async with stored(cluster, 3) as node:
        assert (node.log.generation, node.log.epoch) == (1, 1)
        raised = await raise_generation(node.documents, lost=True)
        assert (raised.generation, raised.epoch, raised.partitions) == (2, 2, PARTITIONS)
    async with cluster() as node:
        assert (node.log.generation, node.log.epoch) == (2, 2)
        await node.log.follow(await node.log.stored_places())
        await append(node.log, record(4))
        [row] = await read(node.log, 1)
        assert row.place == Place(2, 0, 0)
        await node.log.store(step([row], first=4))
        assert [kept.place.generation for kept in await node.log.entries(ONE, "c", 0, 9, 9)] == [1, 1, 1, 2]


@pytest.mark.real
async def test_a_set_up_keeps_its_number_of_partitions(cluster: Any) -> None:
    async with cluster():
        pass
    with pytest.RaisesGroup(pytest.RaisesExc(Unfit, match=f"made with {PARTITIONS} partitions"), flatten_subgroups=True):
        async with cluster(partitions=PARTITIONS + 1):
            pass


# Shortening.


@pytest.mark.real
async def test_what_was_stored_long_ago_goes_and_the_record_at_the_stored_place_stays(cluster: Any) -> None:
    async with cluster() as node:
        await follow(node.log, 3)
        for number in range(0, 10, 2):
            await append(node.log, record(number, number + 1))
        rows = await read(node.log, 10)
        await node.log.store(Storing(places={3: rows[6].place}))
        with trio.fail_after(15):
            while 3 not in node.log.stores([3]):
                await trio.sleep(0.02)
        assert await Shortening(cluster.engines.kafka, node.log, SystemClock()).shorten() == {}, "nothing is a day old"
        assert await Shortening(cluster.engines.kafka, node.log, SystemClock(), keep_ms=-60_000).shorten() == {3: 3}
    async with cluster() as node:
        await node.log.follow(await node.log.stored_places())
        assert [row.place for row in await read(node.log, 3)] == [row.place for row in rows[7:]]


# Memory.


@pytest.mark.real
async def test_what_nobody_receives_waits_in_kafka(cluster: Any) -> None:
    async with cluster(feed_bytes=50_000) as node:
        await follow(node.log, 3)
        for begin in range(0, 400, 50):
            await append(node.log, *(Record(3, ONE.tenant, f"c{number}", [entry(number, body=bytes(4_000))]) for number in range(begin, begin + 50)))
        with trio.fail_after(10):
            while node.log._feed.room.is_set():
                await trio.sleep(0.01)
        most = node.log._feed._bytes
        await trio.sleep(0.3)
        assert node.log._feed._bytes == most < 800_000, "of 1.6 MB"
        rows = await read(node.log, 400)
        assert [row.conversation for row in rows] == [f"c{number}" for number in range(400)]


# Turns.


@pytest.mark.real
async def test_a_loud_tenant_is_told_so_and_stands_in_nobodys_way(cluster: Any) -> None:
    async with cluster() as node:
        loud = [entry(number, body=bytes(200_000)) for number in range(100)]
        verdicts: list[Any] = []
        for data in loud:
            node.log.append(Record(3, "loud", "c", [data]), verdicts.append)
        with trio.fail_after(20):
            assert await append(node.log, record(1)) == [None]
            quiet_after = len(verdicts)
            while len(verdicts) < len(loud):
                await trio.sleep(0.01)
        refused = [verdict for verdict in verdicts if verdict is not None]
        assert all(isinstance(verdict, TooMuch) for verdict in refused)
        assert len(loud) - len(refused) <= MOST_OF_TENANT // 200_000 + 5
        assert quiet_after < len(loud), "the other did not wait for all of the loud one's"
