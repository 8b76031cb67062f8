"""Schemas in a real registry: what fits is taken, what does not is refused before anything is written."""

from pathlib import Path
from typing import Any

import pytest
import trio
from confluent_kafka import TopicPartition

from deploy.local.engines import Kafka, Mongo, Redis, Registry
from services.catalogue import KINDS
from storage.cluster import registry as module
from storage.cluster.registry import register, schema_of
from storage.failing import Unfit
from storage.ports.entry import Entry
from storage.ports.errors import StorageAway
from tests.contracts.data import append, record
from tests.storage.clusters import made
from tests.storage.halves import fresh


def test_the_schema_names_every_field_and_every_kind() -> None:
    entry = schema_of(KINDS)["properties"]["entries"]["items"]
    assert list(entry["properties"]) == list(Entry.__struct_fields__)
    assert entry["required"] == list(Entry.__struct_fields__)
    assert entry["properties"]["kind"]["enum"] == sorted(KINDS)


@pytest.mark.real
async def test_what_fits_is_taken_and_what_does_not_is_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = fresh()
    first = await register(registry.url, topic, ["a", "b"])
    assert await register(registry.url, topic, ["b", "a"]) == first
    later = await register(registry.url, topic, ["a", "b", "c"])
    assert later != first
    assert await register(registry.url, topic, ["a", "b"]) == first, "a node of the release before starts again"
    with pytest.raises(Unfit, match=f"does not fit {topic}-value"):
        await register(registry.url, topic, ["a", "c"])
    monkeypatch.setattr(module, "schema_of", _other)
    with pytest.raises(Unfit, match="Start a newer program"):
        await register(registry.url, topic, ["a", "b", "c"])


@pytest.mark.real
async def test_nodes_that_start_at_once_have_one_schema(registry: Registry) -> None:
    """The registry takes one, and tells the others that it has one already."""
    ids: set[int] = set()

    async def start(topic: str) -> None:
        ids.add(await register(registry.url, topic, ["a", "b"]))

    for _ in range(5):
        async with trio.open_nursery() as nursery:
            topic = fresh()
            for _ in range(6):
                nursery.start_soon(start, topic)
    assert len(ids) == 1, "the same text is one schema, whatever topics it is for"


def _other(kinds: list[str]) -> dict[str, Any]:
    """As a program would have it whose times are text."""
    schema = schema_of(kinds)
    schema["properties"]["entries"]["items"]["properties"]["at"] = {"type": "string"}
    return schema


@pytest.mark.parametrize(("url", "error"), [("http://127.0.0.1:1", StorageAway), ("ftp://registry", Unfit), ("registry:8081", Unfit)])
async def test_a_registry_that_is_not_there(url: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="registry"):
        await register(url, "t", ["a"])


@pytest.mark.real
async def test_each_record_says_which_schema_it_has(kafka: Kafka, mongo: Mongo, redis: Redis, registry: Registry, tmp_path: Path) -> None:
    with made(kafka, mongo, redis, tmp_path) as open_one:
        names = open_one.engines.kafka  # type: ignore[attr-defined]
        schema = await register(registry.url, names.log_topic(1), KINDS)
        async with open_one(schema=schema) as node:
            await append(node.log, record(1))
            assert await trio.to_thread.run_sync(_first_value, names) == b"\0" + schema.to_bytes(4, "big")


def _first_value(names: Any) -> bytes:
    consumer = names.consumer()
    consumer.assign([TopicPartition(names.log_topic(1), 3, 0)])
    message = consumer.poll(10)
    consumer.close()
    return bytes(message.value()[:5])
