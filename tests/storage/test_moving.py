"""Moving what was stored, from SQLite to MongoDB and back: all of it, as it is; seqs stay, places of followers are given anew, and nothing that
is half moved, or moved away, can be started by mistake.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from deploy.local.engines import Kafka as Broker
from deploy.local.engines import Mongo as Engine
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import open_mongo
from storage.cluster.kafka import Kafka
from storage.cluster.mongo import make_client
from storage.cluster.moving import ClusterSource, ClusterTarget
from storage.cluster.settings import Settings, read_settings
from storage.cluster.stored import StoredEntries
from storage.cluster.topics import prepare
from storage.embedded import open_embedded
from storage.embedded.moving import EmbeddedSource, EmbeddedTarget
from storage.failing import Unfit
from storage.ports.documents import version
from storage.ports.entry import NOWHERE, Place, decode_entry
from storage.ports.log import Storing
from storage.ports.moving import FOLLOWERS, Source, Target
from tests.contracts.data import ONE, OTHER, Scope, append, follow, op, read, record, step
from tests.storage.halves import drop, fresh

pytestmark = pytest.mark.real

SYSTEM = Scope("~system")
PARTITIONS = 8


@pytest.fixture
def where(mongo: Engine, kafka: Broker) -> Iterator[tuple[Any, str, Kafka]]:
    name = fresh()
    with make_client(mongo.uri) as client:
        yield client, name, Kafka(kafka.bootstrap, name, replicas=1)
    drop(mongo.uri, name)


def carry(source: Source, target: Target) -> None:
    """What `caas move` does."""
    target.begin(source.setup())
    target.put_entries(source.entries())
    target.put_documents(source.documents())
    target.finish(source.places())
    source.leave("somewhere else")


async def made(folder: Path) -> None:
    """A set-up with two conversations of one partition and one of another, a follower between, a deleted document, a body that went."""
    async with open_embedded(folder, partitions=PARTITIONS, setup="s") as node:
        await follow(node.log, 3, 4)
        await append(node.log, record(1, 2, 3), record(4, 5, conversation="d"), record(6, partition=4, scope=OTHER, conversation="c"))
        rows = await read(node.log, 6)
        await node.log.store(step(rows[:3], window=1)._replace(cleared=[(ONE.tenant, "c", 2)]))
        await node.log.store(step(rows[3:5], window=1))
        await node.log.store(step(rows[5:], window=1))
        await node.documents.put(SYSTEM, FOLLOWERS, "tell/3", {}, rows[2].place)
        await node.documents.put(SYSTEM, FOLLOWERS, "tell/4", {}, rows[5].place)
        await node.documents.put(ONE, "users", "u1", {"external_id": "ann"}, version(3))
        await node.documents.put(ONE, "users", "u2", {"external_id": "bob"}, version(1))
        await node.documents.delete(ONE, "users", "u2", version(2))


async def look(log: Any, documents: Any) -> dict[str, Any]:
    """All that a mover may not change."""
    follows = {}
    for partition in (3, 4):
        held = await documents.get(SYSTEM, FOLLOWERS, f"tell/{partition}")
        left = await log.stored_after(partition, held.place, 99)
        follows[partition] = [(one.tenant, one.conversation, one.row.seq) for one in left]
    entries = {(scope.tenant, name): [(row.seq, row.n, row.data) for row in await log.entries(scope, name, 0, 99, 99)]
               for scope in (ONE, OTHER) for name in ("c", "d")}
    found = await log.find(ONE, "d", [op(5)])
    return {
        "entries": entries, "act": {of: (row.seq, row.data) for of, row in found.items()}, "left to follow": follows,
        "heads": {name: (await log.load(ONE, name, 3)).head for name in ("c", "d")},
        "window": [row.seq for row in (await log.load(ONE, "c", 3)).window],
        "ann": await documents.find(ONE, "users", "external", ["ann"]), "bob": await documents.find(ONE, "users", "external", ["bob"]),
        "bob again": await documents.put(ONE, "users", "u2", {"external_id": "bob"}, version(2)),
        "places": sorted(await log.stored_places()),
    }


async def test_a_move_and_a_move_back_change_nothing_that_anybody_sees(tmp_path: Path, where: Any, mongo: Engine) -> None:
    client, name, kafka = where
    await made(tmp_path)
    async with open_embedded(tmp_path, partitions=PARTITIONS) as node:
        before = await look(node.log, node.documents)
    assert before["left to follow"] == {3: [(ONE.tenant, "d", 1), (ONE.tenant, "d", 2)], 4: []}
    assert decode_entry(before["entries"][ONE.tenant, "c"][1][2]).body == b""
    await trio.to_thread.run_sync(carry, EmbeddedSource(tmp_path), ClusterTarget(client, name, kafka))
    async with open_mongo(mongo.uri, name) as way, trio.open_nursery() as nursery:
        kept, documents = StoredEntries(way), ClusterDocuments(way)
        nursery.start_soon(kept.run)
        nursery.start_soon(documents.run)
        assert await look(kept, documents) == before
        assert await read_settings(documents) == Settings(PARTITIONS, "s", 1, 2)
        places = await kept.stored_places()
        nursery.cancel_scope.cancel()
    assert all(place < Place(2, 0) for place in places.values()), "every row of the log to come is later"
    source = ClusterSource(client, name, kafka)
    assert source.unstored() == 0
    await trio.to_thread.run_sync(carry, source, EmbeddedTarget(tmp_path))
    async with open_embedded(tmp_path, partitions=PARTITIONS) as node:
        assert await look(node.log, node.documents) == before
        assert (node.log.generation, node.log.epoch, node.settings.setup) == (3, 1, "s")
        await follow(node.log, 3, after=(await node.log.stored_places())[3])
        await append(node.log, record(7))
        (row,) = await read(node.log, 1)
        assert row.place > max((await node.log.stored_places()).values())
        await node.log.store(step([row], first=4, window=1))
        assert [each.seq for each in await node.log.entries(ONE, "c", 0, 9, 9)] == [1, 2, 3, 4]
        assert [each.row.seq for each in await node.log.stored_after(3, NOWHERE, 99)] == [1, 2, 3, 1, 2, 4]


async def test_what_was_moved_away_cannot_be_started_again(tmp_path: Path, where: Any, mongo: Engine) -> None:
    client, name, kafka = where
    await made(tmp_path / "a")
    carry(EmbeddedSource(tmp_path / "a"), ClusterTarget(client, name, kafka))
    assert (tmp_path / "a" / "moved.sqlite").exists()
    with pytest.raises(Unfit, match="holds no set-up"):
        EmbeddedSource(tmp_path / "a")
    carry(ClusterSource(client, name, kafka), EmbeddedTarget(tmp_path / "b"))
    with pytest.raises(Unfit, match="moved away: it is somewhere else now"):
        ClusterSource(client, name, kafka)
    await refused(mongo.uri, name, "moved away")


async def test_half_a_move_cannot_be_started_and_an_embedded_one_is_begun_anew(tmp_path: Path, where: Any, mongo: Engine) -> None:
    client, name, kafka = where
    await made(tmp_path / "a")
    source, target = EmbeddedSource(tmp_path / "a"), ClusterTarget(client, name, kafka)
    target.begin(source.setup())
    target.put_entries(source.entries())
    await refused(mongo.uri, name, "the move was not finished")
    with pytest.raises(Unfit, match=r"holds a set-up already, or half of one.*CAAS_SETUP"):
        ClusterTarget(client, name, kafka).begin(source.setup())
    source.close()
    half = EmbeddedTarget(tmp_path / "b")
    again = EmbeddedSource(tmp_path / "a")
    half.begin(again.setup())
    half.put_entries(again.entries())
    again.close()
    carry(EmbeddedSource(tmp_path / "a"), EmbeddedTarget(tmp_path / "b"))
    async with open_embedded(tmp_path / "b", partitions=PARTITIONS) as node:
        assert len(await node.log.entries(ONE, "c", 0, 9, 9)) == 3
    with pytest.raises(Unfit, match="holds a set-up already"):
        EmbeddedTarget(tmp_path / "b").begin(again.setup())


async def test_what_is_not_stored_is_told_of(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, partitions=PARTITIONS) as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2), record(3, partition=5))
        rows = await read(node.log, 2)
        await node.log.store(Storing(places={3: rows[0].place}))
    source = EmbeddedSource(tmp_path)
    assert source.unstored() == 2
    source.close()


async def test_a_log_of_another_set_up_is_not_taken_for_ours(tmp_path: Path, where: Any, kafka: Broker) -> None:
    client, name, ours = where
    await made(tmp_path)
    producer = ours.producer()
    producer.produce(ours.log_topic(2), b"somebody else's", partition=0) if await topic(ours, 2) else pytest.fail("no topic")
    assert producer.flush(10) == 0
    source = EmbeddedSource(tmp_path)
    with pytest.raises(Unfit, match=r"is of another set-up.*delete the topic"):
        ClusterTarget(client, name, ours).begin(source.setup())
    source.close()


async def topic(kafka: Kafka, generation: int) -> bool:
    await prepare(kafka, PARTITIONS, generation)
    return True


async def refused(uri: str, name: str, why: str) -> None:
    async with open_mongo(uri, name) as way, trio.open_nursery() as nursery:
        documents = ClusterDocuments(way)
        nursery.start_soon(documents.run)
        with pytest.raises(Unfit, match=why):
            await read_settings(documents)
        nursery.cancel_scope.cancel()


