"""The real engines start, keep what they are told, and come back at the same place after the worst."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis as redis_client
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local import engines, packages
from deploy.local.engine import Engine, Unwell, running
from deploy.local.member import Member
from deploy.local.ports import free_ports, is_free
from tests.engines.needing import needing

TEN_S = 10.0


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Acknowledged by all replicas, or the test fails."""
    failed: list[Any] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(TEN_S) == 0
    assert failed == []


def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    try:
        consumer.subscribe([topic])
        return [message.value() for message in consumer.consume(count, TEN_S)]
    finally:
        consumer.close()


async def test_kafka_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path, kafka: engines.Kafka) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic("kept", 1)])["kept"].result(TEN_S)
    produce(kafka.bootstrap, "kept", [b"one", b"two"])
    port = kafka.members["kafka-1"].port
    await kafka.restart("kafka-1")
    assert kafka.members["kafka-1"].port == port
    assert consume(kafka.bootstrap, "kept", 2) == [b"one", b"two"]


async def test_kafka_makes_no_topic_by_itself(kafka: engines.Kafka) -> None:
    seen = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics("nobody-made-it", TEN_S)
    assert seen.topics["nobody-made-it"].error is not None


async def test_mongo_keeps_what_it_acknowledged_when_it_is_killed(mongo: engines.Mongo) -> None:
    with pymongo.MongoClient[dict[str, Any]](mongo.uri, timeoutMS=10_000) as client:
        kept = client.get_database("kept", write_concern=pymongo.WriteConcern("majority", j=True)).things
        with client.start_session() as session, session.start_transaction():
            kept.insert_one({"_id": 1}, session=session)
        await mongo.restart("mongo-1")
        assert list(kept.find()) == [{"_id": 1}]
    assert mongo.primary == "mongo-1"


async def test_redis_forgets_when_it_is_killed_and_hangs_when_it_is_paused(redis: engines.Redis) -> None:
    client = redis_client.Redis.from_url(redis.url, socket_timeout=0.2)
    client.set("is", "there")
    redis.pause("redis")
    with pytest.raises(redis_client.TimeoutError):
        client.get("is")
    redis.resume("redis")
    assert client.get("is") == b"there"
    await redis.restart("redis")
    assert client.get("is") is None
    client.close()


async def test_who_is_cut_off_lives_and_is_heard_by_nobody(tmp_path: Path) -> None:
    with needing():
        one, other = engines.Redis(tmp_path / "one"), engines.Redis(tmp_path / "other")
        async with running(one), running(other):
            clients = [redis_client.Redis.from_url(engine.url, socket_timeout=0.3, socket_connect_timeout=0.3) for engine in (one, other)]
            clients[0].set("is", "there")
            one.cut("redis")
            with pytest.raises(redis_client.RedisError):
                clients[0].get("is")
            assert clients[1].ping(), "only that one was meant"
            assert one.members["redis"].alive
            one.heal("redis")
            assert clients[0].get("is") == b"there"
            one.cut("redis")
            await one.restart("redis")
            clients[0].connection_pool.disconnect()  # the end of its old connection was cut off too
            assert clients[0].ping(), "who is started anew is not cut off"
            for client in clients:
                client.close()


async def test_the_registry_speaks_as_confluents_does(registry: engines.Registry) -> None:
    def call(path: str, body: dict[str, Any]) -> Any:
        kind = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        with urllib.request.urlopen(urllib.request.Request(registry.url + path, json.dumps(body).encode(), kind), timeout=TEN_S) as answer:
            return json.load(answer)

    schema = {"schemaType": "JSON", "schema": json.dumps({"type": "object", "properties": {"text": {"type": "string"}}})}
    number = call("/subjects/entries-value/versions", schema)["id"]
    assert call("/subjects/entries-value/versions", schema)["id"] == number


async def test_everything_is_gone_at_the_end_and_starts_again_on_its_data(tmp_path: Path) -> None:
    with needing():
        first = engines.Mongo(tmp_path)
    async with running(first):
        with pymongo.MongoClient[dict[str, Any]](first.uri, timeoutMS=10_000) as client:
            client.kept.things.with_options(write_concern=pymongo.WriteConcern("majority", j=True)).insert_one({"_id": 1})
    member = first.members["mongo-1"]
    assert not member.alive
    assert is_free(member.port)
    async with running(engines.Mongo(tmp_path, ports=[member.port])) as again:
        with pymongo.MongoClient[dict[str, Any]](again.uri, timeoutMS=10_000) as client:
            assert client.kept.things.count_documents({}) == 1


async def test_one_that_dies_says_its_last_words(tmp_path: Path) -> None:
    with needing():
        engine = engines.Redis(tmp_path)
    engine.members["redis"].argv = [*engine.members["redis"].argv, "--no-such-setting", "1"]
    with pytest.raises(Unwell, match="no-such-setting"):
        async with running(engine):
            pass


async def test_one_that_never_becomes_well_is_given_up(tmp_path: Path) -> None:
    class Never(Engine):
        async def lacks(self) -> str:
            return "everything"

    engine = Never("never", [Member("never-1", ["sleep", "60"], free_ports(1)[0], tmp_path)])
    with pytest.raises(Unwell, match="everything"):
        await engine.start(within_s=0.2)
    assert engine.members["never-1"].alive
    await engine.stop()
    assert not engine.members["never-1"].alive


def test_a_program_that_is_not_here_is_named_with_its_package() -> None:
    with pytest.raises(packages.Missing, match="apt-get install no-such-package"):
        packages.program("no-such-program", "no-such-package")


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_engine_fails_in_ci_and_is_skipped_elsewhere(ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no-such-program"), needing():
        packages.program("no-such-program", "no-such-package")


def test_what_was_fetched_in_part_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINES", str(tmp_path))

    def breaks(folder: Path) -> None:
        (folder / "half").touch()
        raise packages.Missing("the network went away")

    with pytest.raises(packages.Missing):
        packages._kept("thing", breaks)
    assert not (tmp_path / "thing").exists()
    assert list(packages._kept("thing", lambda folder: (folder / "whole").touch()).iterdir()) == [tmp_path / "thing" / "whole"]


def test_ports_are_given_once_and_lie_below_those_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = free_ports(200)
    assert len(set(ports)) == 200
    assert max(ports) < lowest
