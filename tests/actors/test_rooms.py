"""Appending, answering, storing and waking, rule by rule, on a virtual clock."""

from collections.abc import AsyncIterator, Collection
from typing import Any

import msgspec
import pytest
import trio

from actors.keys import Key, partition_of
from protocol.ids import make_uuid7, show_act
from services.scope import Scope
from storage.memory.store import Store
from storage.memory.weather import FAIR, Calm, Fate
from storage.ports.entry import Place, decode_entry
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError
from tests.actors.world import TENANT, Client, World, new_id, open_world


class Held(Calm):
    """Writes take as long as `seconds` says; with `lost`, appends vanish and nobody knows."""

    def __init__(self) -> None:
        self.seconds, self.lost = 0.0, False

    def of_write(self) -> Fate:
        if self.lost:
            return Fate(None, self.seconds, OutcomeUnknown("lost"))
        return Fate(self.seconds, self.seconds) if self.seconds else FAIR


@pytest.fixture
async def world() -> AsyncIterator[World]:
    weather = Held()
    async with open_world("w1", "w2", store=Store(8, weather=weather)) as made:
        made.weather = weather  # type: ignore[attr-defined]
        yield made


async def chatting(world: World, name: str = "alice", room: str = "g", worker: str = "w1") -> Client:
    client = Client(world.workers[worker])
    await client.ask("hello", token=name)
    await client.ask("conversation.create", type="group", id=room, members=["bob"])
    await client.ask("conversation.watch", c=room)
    return client


def entries(world: World, room: str = "g") -> list[Any]:
    return [decode_entry(row.data) for rows in world.store.rows for row in rows if row.conversation == room]


async def test_after_is_refused_unless_it_came(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    first, second = new_id(world), new_id(world)
    assert (await alice.ask("message.send", c="g", id=second, text="2", after=first))["error"] == "unavailable"
    one, two = alice.say("message.send", c="g", id=first, text="1"), alice.say("message.send", c="g", id=second, text="2", after=first)
    assert [(await alice.reply(i))["r"]["seq"] for i in (one, two)] == [2, 3]


async def test_one_append_is_on_its_way_and_the_rest_is_the_next(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    before = len(entries(world))
    world.weather.seconds = 1.0  # type: ignore[attr-defined]
    sent = [alice.say("message.send", c="g", id=new_id(world), text=str(n)) for n in range(5)]
    seqs = [(await alice.reply(i))["r"]["seq"] for i in sent]
    assert seqs == [2, 3, 4, 5, 6]
    assert len(entries(world)) == before + 5


async def test_a_sender_keeps_their_order_in_one_conversation(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    sent = []
    for n in range(600):
        sent.append(alice.say("message.send", c="g", id=new_id(world), text=str(n)))
        if n % 40 == 0:
            await trio.sleep(0.01)  # a socket is read again only when what it brought has been handled
    assert [(await alice.reply(i))["r"]["seq"] for i in sent] == list(range(2, 602))


async def test_what_a_check_needs_waits_for_its_verdict(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    carol = Client(world.workers["w2"])
    await carol.ask("hello", token="carol")
    added = alice.say("member.add", c="g", users=["carol"])
    said = await carol.ask("message.send", c="g", id=new_id(world), text="me too")
    assert "r" in await alice.reply(added)
    assert said.get("seq") == 3 or said["error"] == "not_found"


async def test_a_repeat_gives_the_first_answer_on_any_worker(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    id_ = new_id(world)
    first = await alice.ask("message.send", c="g", id=id_, text="once")
    again = await (await chatting(world, worker="w2")).ask("message.send", c="g", id=id_, text="once")
    assert again == {**first, "duplicate": True}
    assert (await alice.ask("message.send", c="g", id=id_, text="other"))["error"] == "id_conflict"
    assert (await (await chatting(world, "bob")).ask("message.send", c="g", id=id_, text="once"))["error"] == "id_conflict"


async def long_ago(world: World) -> tuple[Client, str, dict[str, Any]]:
    """A client that said something, under an id, which the room has forgotten since; and how it was answered then."""
    alice, id_ = await chatting(world), new_id(world)
    first = await alice.ask("message.send", c="g", id=id_, text="long ago")
    for n in range(40):
        await trio.sleep(30)
        await alice.ask("message.send", c="g", id=new_id(world), text=str(n))
    return alice, id_, first


async def test_an_old_repeat_is_looked_up_in_storage(world: World, autojump_clock: object) -> None:
    alice, id_, first = await long_ago(world)
    assert await alice.ask("message.send", c="g", id=id_, text="long ago") == {**first, "duplicate": True}
    assert (await alice.ask("message.send", c="g", id=id_, text="changed"))["error"] == "id_conflict"
    late = show_act(make_uuid7(world.sim.clock.now_ms() - 1_000_000, b"z" * 10))
    assert (await alice.ask("message.send", c="g", id=late, text="late, but new"))["seq"] == 43


async def test_old_ids_that_wait_together_are_looked_up_together(world: World, autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, id_, first = await long_ago(world)
    log, asked = world.workers[world.workers["w1"].assembly.router.owner(Key(TENANT, "g"))].assembly.house.log, list[int]()
    find, failing = log.find, list[StorageError]()

    async def counting(scope: Scope, conversation: str, ops: Collection[bytes]) -> Any:
        asked.append(len(ops))
        if failing:
            raise failing.pop()
        return await find(scope, conversation, ops)

    monkeypatch.setattr(log, "find", counting)
    old = [show_act(make_uuid7(world.sim.clock.now_ms() - 1_000_000, b"%010d" % number)) for number in range(30)]
    said = [(id_, "long ago"), *((late, "late, but new") for late in old), (id_, "changed"), (old[0], "late, but new")]
    failing.append(StorageAway("for a moment"))
    numbers = [alice.say("message.send", c="g", id=late, text="x") for late in old]
    assert {(await alice.reply(number))["e"]["code"] for number in numbers} == {"unavailable"}
    assert asked == [30]
    answers = [await alice.reply(number) for number in [alice.say("message.send", c="g", id=act, text=text) for act, text in said]]
    assert asked == [30, 31]
    assert answers[0]["r"] == {**first, "duplicate": True}
    assert [answer["r"]["seq"] for answer in answers[1:31]] == list(range(43, 73))
    assert answers[31]["e"]["code"] == "id_conflict"
    assert answers[32]["r"] == {**answers[1]["r"], "duplicate": True}
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="a new one", after=old[3]))["seq"] == 73


async def test_ten_seconds_then_timeout_and_the_slot_stays_taken(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    world.weather.seconds = 20.0  # type: ignore[attr-defined]
    began, id_ = trio.current_time(), new_id(world)
    assert (await alice.ask("message.send", c="g", id=id_, text="slow"))["error"] == "timeout"
    assert 10 <= trio.current_time() - began < 11
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="x"))["error"] == "unavailable"
    assert trio.current_time() - began < 12
    world.weather.seconds = 0.0  # type: ignore[attr-defined]
    await trio.sleep(15)
    assert (await alice.ask("message.send", c="g", id=id_, text="slow"))["seq"] == 2


async def test_an_unknown_outcome_is_a_timeout(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    world.weather.lost = True  # type: ignore[attr-defined]
    id_ = new_id(world)
    assert (await alice.ask("message.send", c="g", id=id_, text="?"))["error"] == "timeout"
    world.weather.lost = False  # type: ignore[attr-defined]
    assert (await alice.ask("message.send", c="g", id=id_, text="?"))["seq"] == 2


async def test_a_full_disk_refuses_sends_lets_reads_live_and_recovers(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    await alice.ask("message.send", c="g", id=new_id(world), text="before")
    world.store.full = True
    refused = await alice.ask("message.send", c="g", id=new_id(world), text="x")
    assert (refused["error"], refused["retryable"]) == ("storage_full", True)
    assert len((await alice.ask("message.list", c="g"))["items"]) == 1
    world.store.full = False
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="after"))["seq"] == 3


async def test_reading_is_dense_while_storage_lags(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    for n in range(5):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(n))
    await trio.sleep(1)
    slow = world.workers["w1"].assembly, world.workers["w2"].assembly
    for assembly in slow:
        assembly.storer._round = trio.lowlevel.checkpoint  # type: ignore[method-assign]
    for n in range(5, 9):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(n))
    page = await alice.ask("conversation.sync", c="g", after=0)
    assert [entry["s"] for entry in page["entries"]] == list(range(1, 11))
    assert [item["text"] for item in (await alice.ask("message.list", c="g", limit=4))["items"]] == ["5", "6", "7", "8"]


async def test_a_seq_beyond_the_head_waits_two_seconds_then_unavailable(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    began = trio.current_time()
    assert (await alice.ask("conversation.watch", c="g", after=99))["error"] == "unavailable"
    assert 2 <= trio.current_time() - began < 3


async def test_another_epoch_is_a_gap_for_everything(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    bob = Client(world.workers["w2"])
    await bob.ask("hello", token="bob")
    told = await bob.ask("conversation.watch", c="g", after=99, epoch=world.store.epoch + 1)
    assert told["gap"] == {"from": 1, "to": 1}
    assert (await bob.ask("conversation.sync", c="g", after=0, epoch=7))["gap"] == {"from": 1, "to": 1}
    assert "gap" not in await alice.ask("conversation.sync", c="g", after=0, epoch=world.store.epoch)


async def test_storing_folds_by_itself_where_no_room_answers(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    partition = partition_of(Key(TENANT, "g"), 8)
    owner = next(worker.assembly for worker in world.workers.values() if partition in worker.assembly.tails)
    owner.reader._deliver = lambda key, rows: None  # type: ignore[method-assign]
    said = alice.say("message.send", c="g", id=new_id(world), text="unheard")
    await trio.sleep(5)
    assert world.store.places[partition] > Place(1, 0, 0)
    stored = await owner.log.entries(Scope(TENANT), "g", 0, 99, 10)
    assert [row.seq for row in stored] == [1, 2]
    assert (await alice.reply(said))["e"]["code"] == "timeout"


async def test_a_damaged_record_stops_its_partition_and_is_never_renumbered(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    await alice.ask("message.send", c="g", id=new_id(world), text="whole")
    await trio.sleep(1)
    partition = partition_of(Key(TENANT, "g"), 8)
    owner = next(worker.assembly for worker in world.workers.values() if partition in worker.assembly.tails)
    row = world.store.rows[partition][-1]
    bad = msgspec.structs.replace(row, place=Place(1, row.place.offset + 1_000, 0), data=row.data[:-1] + b"\xff")
    owner.reader.take([bad])
    assert owner.reader.damaged == {partition}
    owner.reader.take([msgspec.structs.replace(bad, place=row.place)])
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="x"))["error"] in ("timeout", "unavailable")


async def test_a_room_sleeps_and_wakes_as_it_was(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    await alice.ask("message.send", c="g", id=new_id(world), text="before")
    await alice.ask("conversation.unwatch", c="g")
    await trio.sleep(200)
    assert all(worker.assembly.rooms.find(f"{TENANT}/g") is None for worker in world.workers.values())
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="after"))["seq"] == 3


async def test_a_room_with_listeners_only_dozes_and_tells_what_comes(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    bob = Client(world.workers["w2"])
    await bob.ask("hello", token="bob")
    await bob.ask("conversation.watch", c="g")
    await trio.sleep(300)
    await alice.ask("message.send", c="g", id=new_id(world), text="good morning")
    await bob.until(lambda client: len(client.got("message.new", "g")) == 1)


async def test_a_crashed_worker_loses_nothing_and_its_rooms_move(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    sent = [(await alice.ask("message.send", c=room, id=new_id(world), text="x")) for room in ["g"] * 4]
    await world.crash("w2")
    more = [await alice.ask("message.send", c="g", id=new_id(world), text="y") for _ in range(3)]
    assert [answer["seq"] for answer in sent + more] == list(range(2, 9))
    await alice.until(lambda client: len(client.got("message.new", "g")) == 7)
    assert [push["s"] for push in alice.got("message.new", "g")] == list(range(2, 9))


async def test_two_workers_that_both_hold_a_room_cannot_disagree(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world), await chatting(world, "bob", worker="w2")
    for worker in world.workers.values():  # each believes that everything is its own
        worker.assembly.router._owners = [worker.name] * 8
        await worker.assembly.reader.assign(range(8))
    ids = [new_id(world) for _ in range(10)]
    mine = [alice.say("message.send", c="g", id=id_, text="a") for id_ in ids]
    theirs = [bob.say("message.send", c="g", id=new_id(world), text="b") for _ in ids]
    answers = [await alice.reply(i) for i in mine] + [await bob.reply(i) for i in theirs]
    assert sorted(answer["r"]["seq"] for answer in answers) == list(range(2, 22))
    pages = [await client.ask("conversation.sync", c="g", after=0) for client in (alice, bob)]
    assert pages[0]["entries"] == pages[1]["entries"]
