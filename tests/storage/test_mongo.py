"""What is MongoDB's alone: what it refuses, what a crash between two writes of a step leaves, and how its errors are told apart."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from pymongo import MongoClient

from deploy.local.engines import Mongo as Engine
from deploy.local.member import Member
from deploy.local.ports import free_ports
from storage.cluster import documents as writing
from storage.cluster import mongo as way_there
from storage.cluster import steps
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import look_over, open_mongo
from storage.cluster.mongo import Mongo, is_safe, make_client
from storage.cluster.shapes import documents
from storage.cluster.stored import StoredEntries
from storage.cluster.transactions import TRIED_S, Transactions
from storage.failing import Unfit
from storage.ports.documents import version
from storage.ports.entry import Place, decode_entry
from storage.ports.errors import Damaged, OutcomeUnknown, StorageAway, StorageError, StorageFull
from storage.ports.log import Accepted, Change, Row, Storing
from tests.contracts.data import ONE, accept, entry, head, op
from tests.engines.needing import needing
from tests.storage.halves import drop, fresh

pytestmark = pytest.mark.real

WITHIN_S = 30.0


@pytest.fixture
def database(mongo: Engine) -> Iterator[str]:
    name = fresh()
    yield name
    drop(mongo.uri, name)


@asynccontextmanager
async def open_parts(uri: str, database: str) -> AsyncIterator[tuple[Mongo, StoredEntries, ClusterDocuments]]:
    """The way, and what goes it."""
    async with open_mongo(uri, database) as way, trio.open_nursery() as nursery:
        kept, documents = StoredEntries(way), ClusterDocuments(way)
        nursery.start_soon(kept.run)
        nursery.start_soon(documents.run)
        yield way, kept, documents
        nursery.cancel_scope.cancel()


def row(number: int, conversation: str = "c") -> Row:
    return Row(Place(1, number), 3, ONE.tenant, conversation, entry(number, conversation=conversation))


def whole_step(*numbers: int) -> Storing:
    """A step with everything in it: entries, a document, a part, a head, a place, and a body that goes."""
    rows = [row(number) for number in numbers]
    last = rows[-1].place
    changes = [Change(ONE.tenant, "overlays", "c/x", {"upto": numbers[-1]}, last),
               Change(ONE.tenant, "parts", "c/000000", {"upto": numbers[-1]}, last)]
    return Storing([accept(each, number, number) for each, number in zip(rows, numbers, strict=True)], changes,
                   [head(ONE, "c", numbers[-1], 1, last)], {3: last}, [(ONE.tenant, "c", numbers[0])])


class Died(Exception):
    """The writer, in the middle of a step."""


def dying(after: int) -> Callable[..., Any]:
    """A database whose so-many-eth write is the last: what comes after is never written."""
    left = [after]

    class Collection:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            if name not in ("insert_many", "bulk_write", "update_one", "insert_one", "replace_one"):
                return getattr(self._real, name)
            left[0] -= 1
            if left[0] < 0:
                raise Died
            return getattr(self._real, name)

    class Database:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __getitem__(self, name: str) -> Collection:
            return Collection(self._real[name])

    def write(step: steps.Step, database: Any, session: Any) -> bool:
        """Whether it died."""
        try:
            steps.write_step(step, Transactions(), Database(database), session)
        except Died:
            return True
        return False

    return write


async def everything(kept: StoredEntries, documents: ClusterDocuments) -> Any:
    entries = await kept.entries(ONE, "c", 0, 99, 99)
    held = await documents.get(ONE, "overlays", "c/x")
    return ([(each.seq, each.place, decode_entry(each.data).body) for each in entries], held, await kept.stored_places(),
            await kept.load(ONE, "c", 3))


async def test_a_crash_between_any_two_writes_of_a_step_loses_nothing(mongo: Engine) -> None:
    """After each of them: nothing that can be read is torn for good, and the step that the next writer repeats ends as if nothing had been."""
    died, after = True, 0
    ends = []
    while died:
        name = fresh()
        async with open_parts(mongo.uri, name) as (way, kept, documents):
            await kept.store(whole_step(1, 2))
            died = await way.write(partial(dying(after), steps.prepare_step(whole_step(3, 4, 5))))
            loaded = await kept.load(ONE, "c", 3)
            assert loaded.head is not None
            assert loaded.stored <= Place(1, loaded.head["seq"])
            assert loaded.parts == [{"upto": loaded.head["seq"]}], "a part that stays later than its head can never be woken from"
            assert [each.seq for each in loaded.window] == list(range(1, loaded.head["seq"] + 1))
            await kept.store(whole_step(3, 4))  # another writer gathers otherwise
            await kept.store(whole_step(5))
            ends.append(await everything(kept, documents))
        drop(mongo.uri, name)
        after += 1
    assert after > 6, "it must have been interrupted after each of its writes"
    expected = ends[-1]
    assert [body for _, _, body in expected[0]] == [b"", b"body 2", b"", b"body 4", b""]
    assert all(end[1:] == expected[1:] for end in ends)
    assert all(end[0][:3] == expected[0][:3] for end in ends)


async def test_bodies_go_before_the_document_that_says_so(mongo: Engine, database: str) -> None:
    """Else a writer that finds the document at its place would never remove them."""
    async with open_parts(mongo.uri, database) as (way, kept, documents):
        await kept.store(Storing([accept(row(1), 1, 1)], (), (), {3: Place(1, 1)}))
        gone = Storing([accept(row(2), 2, 2)], [Change(ONE.tenant, "overlays", "c/1", {"removed_at": 9}, Place(1, 2))], (),
                       {3: Place(1, 2)}, [(ONE.tenant, "c", 1)])
        for after in range(4):
            await way.write(partial(dying(after), steps.prepare_step(gone)))
            said = await documents.get(ONE, "overlays", "c/1")
            (first, *_) = await kept.entries(ONE, "c", 0, 9, 9)
            assert said is None or decode_entry(first.data).body == b""


async def test_an_entry_that_was_stored_otherwise_stops_storing(mongo: Engine, database: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_parts(mongo.uri, database) as (_, kept, _documents):
        await kept.store(Storing([accept(row(1), 1, 1)], (), (), {3: Place(1, 1)}))
        for other in (Accepted(row(2), 1, 1, "message.send", op(2)), Accepted(row(2), 2, 2, "message.send", op(1))):
            with pytest.raises(Damaged):
                await kept.store(Storing([other], (), (), {3: Place(1, 2)}))
        assert await kept.stored_places() == {3: Place(1, 1)}
    assert "two folds of the log disagree" in caplog.text


async def test_a_ghosts_part_and_head_in_one_transaction_are_only_forward_too(mongo: Engine, database: str) -> None:
    async with open_parts(mongo.uri, database) as (_, kept, documents):
        await kept.store(whole_step(1, 2, 3))
        await kept.store(whole_step(1, 2))
        assert (await kept.load(ONE, "c", 3)).parts == [{"upto": 3}]
        assert (await documents.get(ONE, "heads", "c")) == (await documents.get_many(ONE, "heads", ["c"]))["c"]


async def test_a_standalone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with needing():
        port = free_ports(1)[0]
        engine = Engine(tmp_path / "m", ports=[port])
    argv = [each for each in next(iter(engine.members.values())).argv if each not in ("--replSet", "caas")]
    argv[argv.index("--dbpath") + 1] = str(tmp_path)
    alone = Member("alone", argv, port, tmp_path)
    alone.start()
    try:
        with pytest.raises(Unfit, match=r"standalone.*--replSet.*rs\.initiate"):
            async with open_mongo(f"mongodb://127.0.0.1:{port}/", "x"):
                pytest.fail("it was opened")
    finally:
        alone.kill()


class _Said:
    """A server that says what it is told to say."""

    def __init__(self, **answers: Any) -> None:
        self.client = self.admin = self
        self._answers = answers

    def command(self, name: str, **_: Any) -> Any:
        return self._answers[name]


@pytest.mark.parametrize(("hello", "config", "mend"), [
    ({"maxWireVersion": 13}, {}, "older than 6.0"),
    ({"arbiters": ["m3:27017"]}, {}, "m3:27017 are arbiters"),
    ({}, {"writeConcernMajorityJournalDefault": False}, "writeConcernMajorityJournalDefault to true"),
])
def test_an_unsafe_replica_set_is_refused_with_what_to_do(hello: Any, config: Any, mend: str) -> None:
    said: Any = _Said(hello={"setName": "caas", "maxWireVersion": 21, **hello},
                      replSetGetConfig={"config": {"members": [{"votes": 1}] * 3, **config}})
    with pytest.raises(Unfit, match=mend):
        look_over(said, said)


def test_no_uri_weakens_what_is_asked_of_it() -> None:
    uri = "mongodb://127.0.0.1:1/?w=1&journal=false&readConcernLevel=local&readPreference=secondary&retryWrites=false&timeoutMS=0"
    with make_client(uri) as client:
        assert is_safe(client)
        assert client.options.timeout == 3.0


def test_an_address_that_cannot_be_is_refused() -> None:
    with pytest.raises(Unfit, match=r"looks like mongodb://"):
        make_client("localhost:27017")


async def test_nothing_there_is_away_at_once_after_the_first_wait() -> None:
    mongo = Mongo(partial(make_client, f"mongodb://127.0.0.1:{free_ports(1)[0]}/"), "x")
    for _ in range(3):
        with pytest.raises(StorageAway):
            await mongo.write(lambda database, session: database["x"].insert_one({}, session=session), 0.5)
    assert mongo.away
    await mongo.close()


async def test_a_client_whose_threads_all_stand_still_is_replaced(mongo: Engine, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_there, "RENEW_S", 1.5)
    go_on = threading.Event()

    async def stand_still() -> None:
        with suppress(StorageAway):
            await way.read(lambda database, session: go_on.wait(), 0.1)

    async with open_parts(mongo.uri, database) as (way, kept, _documents), trio.open_nursery() as nursery:
        await kept.store(whole_step(1, 2))
        for _ in range(way_there.READERS):
            nursery.start_soon(stand_still)
        with trio.fail_after(WITHIN_S):
            while not (await loaded_or_away(kept)):
                await trio.sleep(0.1)
        go_on.set()


async def loaded_or_away(kept: StoredEntries) -> bool:
    try:
        return (await kept.load(ONE, "c", 3)).head is not None
    except StorageAway:
        return False


@pytest.mark.parametrize(("failing", "told"), [
    ({"errorCode": 14031}, StorageFull),
    ({"errorCode": 13}, StorageAway),
    ({"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}, OutcomeUnknown),
])
async def test_what_the_server_says_is_told_for_what_it_is(mongo: Engine, database: str, failing: Any, told: type[Exception]) -> None:
    with MongoClient[Any](mongo.uri) as client:
        async with open_parts(mongo.uri, database) as (_, _kept, documents):
            client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1},
                                  "data": {"failCommands": ["update"], "appName": "caas", **failing}})
            try:
                with pytest.raises(told):
                    await documents.put(ONE, "things", "k", {"v": 1}, version(1))
            finally:
                client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
            found = await documents.get(ONE, "things", "k")
            assert (found is not None) == (told is OutcomeUnknown)


async def test_a_read_that_takes_too_long_is_no_reason_to_refuse_others(mongo: Engine, database: str) -> None:
    with MongoClient[Any](mongo.uri) as client:
        async with open_parts(mongo.uri, database) as (way, kept, documents):
            await kept.store(whole_step(1, 2))
            client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1},
                                  "data": {"failCommands": ["find"], "appName": "caas", "errorCode": 50}})
            with pytest.raises(StorageAway, match="takes too long"):
                await kept.entries(ONE, "c", 0, 9, 9)
            assert not way.away
            assert await documents.get(ONE, "overlays", "c/x")


async def test_a_head_that_cannot_be_read_back_fails_for_its_own_room_alone(mongo: Engine, database: str) -> None:
    async with open_parts(mongo.uri, database) as (way, kept, documents):
        await kept.store(whole_step(1, 2))
        await documents.put(ONE, "heads", "bad", {"no window": True}, version(1))
        failed: list[str] = []

        async def load(name: str) -> None:
            try:
                await kept.load(ONE, name, 3)
            except KeyError:
                failed.append(name)

        async with trio.open_nursery() as nursery:
            for name in ("c", "bad", "c", "new"):
                nursery.start_soon(load, name)
        assert failed == ["bad"]
        assert (await kept.load(ONE, "c", 3)).head is not None
        assert not way.away


async def test_a_bulk_tells_each_document_its_own(mongo: Engine, database: str) -> None:
    """Of many in one trip, two of them for one key: the first wins, the second may be told no."""
    async with open_parts(mongo.uri, database) as (way, _, _documents):
        kept = [writing.kept_document(Change(ONE.tenant, "things", key, {"v": number}, version(at)))
                for number, (key, at) in enumerate([("a", 1), ("b", 1), ("a", 1), ("a", 2), ("b", 1)])]
        puts = [("documents.things", each) for each in kept]
        assert await way.write(partial(writing.put_each, puts)) == [True, True, False, True, False]


def block_heads(client: MongoClient[Any], database: str, for_s: float) -> None:
    """The next write of a new head, in the middle of a transaction, waits before it is done."""
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": {
        "failCommands": ["insert"], "namespace": f"{database}.{documents('heads')}", "blockConnection": True, "blockTimeMS": int(for_s * 1000)}})


async def test_a_transaction_that_was_slow_and_is_given_up_keeps_nobody_waiting(mongo: Engine, database: str) -> None:
    with MongoClient[Any](mongo.uri) as client:
        async with open_parts(mongo.uri, database) as (_, kept, _documents):
            block_heads(client, database, TRIED_S + 0.5)
            with pytest.raises(OutcomeUnknown):
                await kept.store(whole_step(1, 2))
            await trio.sleep(1)
            await is_stored_soon(kept, whole_step(1, 2))


async def test_a_transaction_in_which_the_server_stood_still_keeps_nobody_waiting(tmp_path: Path, database: str) -> None:
    """It goes on in the middle of it, long after it was given up, and could not be told."""
    with needing():
        made = Engine(tmp_path)
    try:
        await made.start()
        with MongoClient[Any](made.uri) as client:
            block_heads(client, database, 1.0)
        async with open_parts(made.uri, database) as (_, kept, _documents), trio.open_nursery() as nursery:
            nursery.start_soon(stand_still, made)
            with pytest.raises(OutcomeUnknown):
                await kept.store(whole_step(1, 2))
            made.resume("mongo-1")
            await trio.sleep(1)
            await is_stored_soon(kept, whole_step(1, 2))
    finally:
        made.drop()


async def stand_still(server: Engine) -> None:
    """While it waits before the head."""
    await trio.sleep(0.7)
    server.pause("mongo-1")


async def is_stored_soon(kept: StoredEntries, step: Storing) -> None:
    """Again after a moment, whatever comes of it, as storing does."""
    with trio.fail_after(8):
        while True:
            try:
                await kept.store(step)
                break
            except StorageError:
                await trio.sleep(0.1)
    assert (await kept.load(ONE, "c", 3)).parts


async def test_a_transaction_whose_process_was_killed_keeps_nobody_waiting(mongo: Engine, database: str) -> None:
    """Nobody ends it: the server would keep its documents for a minute, in which a conversation could not be stored."""
    with MongoClient[Any](mongo.uri, appname="caas") as killed, trio.fail_after(WITHIN_S):
        async with open_parts(mongo.uri, database) as (way, kept, _documents):
            await kept.store(whole_step(1, 2))
            with killed.start_session() as session:
                session.start_transaction()
                killed[database][documents("heads")].update_one({}, {"$set": {"half": "written"}}, session=session)
                step = whole_step(3, 4)
                while True:
                    try:
                        await kept.store(step)
                        break
                    except StorageError:
                        assert not way.away, "MongoDB is there: it refuses this alone"
                loaded = await kept.load(ONE, "c", 3)
                assert loaded.head is not None
                assert "half" not in loaded.head
                assert loaded.head["seq"] == 4
