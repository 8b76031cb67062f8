"""Appending, rule by rule: what comes back stale, whose verdict answers, and a log that keeps rooms waiting. On a virtual clock."""

from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
import trio

from storage.memory.store import Store
from storage.memory.weather import Calm, Fate
from storage.ports.entry import Entry, decode_entry, encode_entry
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError, StorageFull, TooMuch
from storage.ports.log import Record
from tests.actors.world import TENANT, Client, World, new_id, open_world

Rivals = Callable[[Record], list[Entry]]
NEVER = Fate(None, 10_000.0, OutcomeUnknown("nobody knows"))


class Slow(Calm):
    """Writes have the fate given here; reading is `lag_s` behind and brings `most` rows at once."""

    def __init__(self) -> None:
        self.fate, self.lag_s, self.most = Fate(), 0.0, 1_000

    def of_write(self) -> Fate:
        return self.fate

    def read_lag_s(self) -> float:
        return self.lag_s

    def read_most(self) -> int:
        return self.most


class Contested(Store):
    """Another room of the conversation `g` appends too: before each of our records, what the next of `rivals` makes of it."""

    def __init__(self) -> None:
        self.slow = Slow()
        super().__init__(8, weather=self.slow)
        self.rivals: deque[Rivals] = deque()

    def append(self, record: Record) -> None:
        if self.rivals and record.conversation == "g":
            super().append(record._replace(entries=tuple(map(encode_entry, self.rivals.popleft()(record)))))
        super().append(record)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", store=Contested()) as made:
        yield made


def contested(world: World) -> Contested:
    assert isinstance(world.store, Contested)
    return world.store


async def chatting(world: World) -> Client:
    alice = Client(world.workers["w1"])
    await alice.ask("hello", token="alice")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    await trio.sleep(1)  # what is said from now on is later than what the window forgets first
    return alice


def entries(world: World) -> list[Entry]:
    """Of the conversation, as they stand in the log."""
    return [decode_entry(row.data) for rows in world.store.rows for row in rows if row.conversation == "g"]


def appended(world: World, id_: str) -> int:
    """How often a message was appended."""
    return sum(entry.op.hex() == id_.replace("-", "") for entry in entries(world))


def crowd(minutes: int) -> Rivals:
    """So much was said by others, so many minutes later, that the window has moved on."""

    def make(record: Record) -> list[Entry]:
        own = decode_entry(record.entries[0])
        return [msgspec.structs.replace(own, op=bytes(6) + bytes([0x70, minutes, 0x80, n]) + bytes(6), at=own.at + (minutes + n) * 60_000,
                                       checked=own.checked + n, append=("rival", minutes, n)) for n in range(20)]

    return make


async def test_what_comes_back_stale_is_appended_again(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    contested(world).rivals.append(crowd(10))
    id_ = new_id(world)
    assert (await alice.ask("message.send", c="g", id=id_, text="once more"))["seq"] == 1 + 20 + 1
    assert appended(world, id_) == 2


async def test_what_comes_back_stale_goes_before_anything_newer_and_in_its_order(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    store = contested(world)
    store.rivals.append(crowd(10))
    store.slow.fate = Fate(1.0, 1.0)
    first = [alice.say("message.send", c="g", id=new_id(world), text=text) for text in ("1", "2")]
    await trio.sleep(0.5)
    newer = alice.say("message.send", c="g", id=new_id(world), text="3")
    assert [(await alice.reply(i))["r"]["seq"] for i in (*first, newer)] == [22, 23, 24]


async def test_stale_three_times_is_unavailable(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    contested(world).rivals.extend(crowd(30 * n) for n in range(1, 6))
    id_ = new_id(world)
    refused = await alice.ask("message.send", c="g", id=id_, text="too slow")
    assert (refused["error"], refused["retryable"]) == ("unavailable", True)
    assert appended(world, id_) == 3
    contested(world).rivals.clear()
    assert "seq" in await alice.ask("message.send", c="g", id=id_, text="too slow")


async def test_what_comes_back_stale_is_checked_again(world: World, autojump_clock: object) -> None:
    await chatting(world)
    bob = Client(world.workers["w1"])
    await bob.ask("hello", token="bob")

    def removed(record: Record) -> list[Entry]:
        """By the application, and much else was said."""
        crowded = crowd(10)(record)
        own = decode_entry(record.entries[0])
        gone = msgspec.structs.replace(crowded[-1], kind="member.removed", checked=99, actor="", facts={"user": own.actor}, op=b"removed" + bytes(9))
        return [*crowded, gone]

    contested(world).rivals.append(removed)
    id_ = new_id(world)
    assert (await bob.ask("message.send", c="g", id=id_, text="am I still here?"))["error"] == "not_found"
    assert appended(world, id_) == 1


async def test_a_command_is_answered_by_the_verdict_of_its_own_append(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    store = contested(world)
    store.slow.most, store.slow.lag_s = 1, 1.0  # one row after the other: the rival's is long read when ours comes
    store.rivals.append(lambda record: [msgspec.structs.replace(decode_entry(record.entries[0]), digest=b"other", append=("rival", 1, 1))])
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="mine"))["error"] == "id_conflict"


async def test_what_an_earlier_append_of_it_came_to_is_no_answer(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    store = contested(world)
    store.slow.most, store.slow.lag_s = 1, 1.0
    store.rivals.append(lambda record: [msgspec.structs.replace(decode_entry(record.entries[0]), checked=-1, append=("ghost", 1, 1))])
    id_ = new_id(world)
    assert (await alice.ask("message.send", c="g", id=id_, text="said before, and lost"))["seq"] == 2
    assert appended(world, id_) == 2  # the ghost's was stale: for that alone, nothing is appended again


@pytest.mark.parametrize(("written_s", "told_s", "read_s"), [(1.0, 4.0, 0.0), (0.0, 0.0, 4.0), (1.0, 4.0, 1.0), (3.0, 3.0, 1.0)])
async def test_an_answer_needs_the_acknowledgement_and_the_read_back(world: World, autojump_clock: object, written_s: float, told_s: float,
                                                                   read_s: float) -> None:
    alice = await chatting(world)
    await alice.ask("conversation.watch", c="g")
    slow, began = contested(world).slow, trio.current_time()
    slow.fate, slow.lag_s = Fate(written_s, told_s), read_s
    sent = alice.say("message.send", c="g", id=new_id(world), text="sent means durable")
    await trio.sleep(3.9)
    assert alice.replies == {}
    assert (await alice.reply(sent))["r"]["seq"] == 2
    assert 4.0 <= trio.current_time() - began < 4.5


async def test_read_back_and_not_acknowledged_is_no_success(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    contested(world).slow.fate = Fate(0.0, 2.0, OutcomeUnknown("the answer was lost"))
    id_ = new_id(world)
    assert (await alice.ask("message.send", c="g", id=id_, text="?"))["error"] == "timeout"
    contested(world).slow.fate = Fate()
    again = await alice.ask("message.send", c="g", id=id_, text="?")
    assert (again["seq"], again["duplicate"]) == (2, True)


@pytest.mark.parametrize(("error", "code"), [(StorageAway("away"), "unavailable"), (TooMuch("yours"), "too_many"),
                                             (StorageFull("full"), "storage_full"), (OutcomeUnknown("?"), "timeout")])
async def test_what_the_log_says_of_a_record_it_does_not_take(world: World, error: StorageError, code: str, autojump_clock: object) -> None:
    alice = await chatting(world)
    contested(world).slow.fate = Fate(None, 0.1, error)
    refused = await alice.ask("message.send", c="g", id=(id_ := new_id(world)), text="?")
    assert (refused["error"], refused["retryable"]) == (code, True)
    contested(world).slow.fate = Fate()
    assert (await alice.ask("message.send", c="g", id=id_, text="?"))["seq"] == 2


async def test_ten_seconds_and_what_waits_behind_is_refused(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    contested(world).slow.fate = NEVER
    began = trio.current_time()
    one = alice.say("message.send", c="g", id=new_id(world), text="under way")
    await trio.sleep(5)
    two = alice.say("message.send", c="g", id=new_id(world), text="behind it")
    await trio.sleep(4.9)
    assert alice.replies == {}
    assert [(await alice.reply(i))["e"]["code"] for i in (one, two)] == ["timeout", "unavailable"]
    assert 10.0 <= trio.current_time() - began < 10.5


async def test_ten_seconds_count_from_when_a_command_came_not_from_when_its_record_left(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    contested(world).slow.fate = Fate(6.0, 6.0)
    began = trio.current_time()
    first = alice.say("message.send", c="g", id=new_id(world), text="under way")
    await trio.sleep(1)
    waits = alice.say("message.send", c="g", id=(id_ := new_id(world)), text="waits five seconds, then rides for six")
    await trio.sleep(4.5)
    rides = alice.say("message.send", c="g", id=new_id(world), text="in the same record, and just came")
    assert (await alice.reply(first))["r"]["seq"] == 2
    assert (await alice.reply(waits))["e"]["code"] == "timeout"
    assert 11.0 <= trio.current_time() - began < 11.5
    assert (await alice.reply(rides))["r"]["seq"] == 4
    assert 12.0 <= trio.current_time() - began < 12.5
    again = await alice.ask("message.send", c="g", id=id_, text="waits five seconds, then rides for six")
    assert (again["seq"], again["duplicate"]) == (3, True)


async def test_until_the_log_answers_new_commands_are_refused_at_once(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    slow, began = contested(world).slow, trio.current_time()
    slow.fate = Fate(20.0, 20.0)
    id_ = new_id(world)
    assert (await alice.ask("message.send", c="g", id=id_, text="late"))["error"] == "timeout"
    slow.fate = Fate()
    for at in (11.0, 19.9):
        await trio.sleep(began + at - trio.current_time())
        assert (await alice.ask("message.send", c="g", id=new_id(world), text="now"))["error"] == "unavailable"
        assert trio.current_time() - began == at
    await trio.sleep(0.2)
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="now"))["seq"] == 3
    assert (await alice.ask("message.send", c="g", id=id_, text="late"))["duplicate"]


async def test_after_two_minutes_the_log_is_taken_to_have_given_up(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    slow, began = contested(world).slow, trio.current_time()
    slow.fate = NEVER
    id_ = new_id(world)
    assert (await alice.ask("message.send", c="g", id=id_, text="lost"))["error"] == "timeout"
    slow.fate = Fate()
    await trio.sleep(began + 119 - trio.current_time())
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="now"))["error"] == "unavailable"
    await trio.sleep(2)
    assert (await alice.ask("message.send", c="g", id=id_, text="lost"))["seq"] == 2


async def test_a_room_with_an_append_on_its_way_does_not_sleep(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    rooms, slow = world.workers["w1"].assembly.rooms, contested(world).slow
    slow.fate = Fate(115.0, 115.0)
    alice.say("message.send", c="g", id=new_id(world), text="slow")
    await trio.sleep(1)
    room = rooms.find(f"{TENANT}/g")
    await trio.sleep(113)
    assert room is not None
    assert rooms.find(f"{TENANT}/g") == room
    await trio.sleep(130)
    assert rooms.find(f"{TENANT}/g") is None


async def test_a_record_holds_256_commands_and_256_kilobytes(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    store = contested(world)
    records: list[list[int]] = []  # the size of each entry

    def noted(record: Record) -> list[Entry]:
        records.append([len(data) for data in record.entries])
        return []

    store.rivals.extend([noted] * 10)
    store.slow.fate = Fate(1.0, 1.0)
    texts = ["first", *["small"] * 300, *["large" * 3_000] * 40]
    sent = []
    for text in texts:
        sent.append(alice.say("message.send", c="g", id=new_id(world), text=text))
        await trio.sleep(0.5 if text == "first" else 0)
    for i in sent:
        await alice.reply(i)
    assert [len(sizes) for sizes in records[:2]] == [1, 256]
    assert sum(map(len, records)) == len(texts)
    for sizes in records[2:]:
        assert sum(sizes[:-1]) < 256 * 1024
    assert all(sum(sizes) >= 256 * 1024 for sizes in records[2:-1])
    assert len(records) == 5


async def test_an_id_as_old_as_what_was_forgotten_waits_until_storage_has_it(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    old = new_id(world)
    await trio.sleep(1)
    await alice.ask("message.send", c="g", id=new_id(world), text="later, and soon forgotten")
    contested(world).rivals.append(crowd(10))
    await alice.ask("message.send", c="g", id=new_id(world), text="the window moves on")
    refused = await alice.ask("message.send", c="g", id=old, text="from before")
    assert (refused["error"], refused["retryable"]) == ("unavailable", True)
    await trio.sleep(1)
    assert "seq" in await alice.ask("message.send", c="g", id=old, text="from before")


async def test_what_was_looked_up_for_the_one_behind_it_is_not_appended_again(world: World, autojump_clock: object) -> None:
    """An old message sent again, and in the same pass one that names it as `after`: storage is asked for it twice, once for each."""
    alice = await chatting(world)
    old = new_id(world)
    first = await alice.ask("message.send", c="g", id=old, text="from before")
    await trio.sleep(1)
    contested(world).rivals.append(crowd(10))
    await alice.ask("message.send", c="g", id=new_id(world), text="the window moves on")
    await trio.sleep(2)
    behind = alice.say("message.send", c="g", id=new_id(world), text="behind it", after=old)
    again = alice.say("message.send", c="g", id=old, text="from before")
    assert (await alice.reply(again))["r"]["seq"] == first["seq"]
    assert (await alice.reply(behind))["r"]["seq"] > first["seq"]
