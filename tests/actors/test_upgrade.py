"""A cluster upgraded node by node: what only the new program knows is not written before all know it, and no two ever decide differently."""

from collections.abc import AsyncIterator

import msgspec
import pytest
import trio

from actors.across import Across
from actors.agreement import Agreement
from actors.keys import Key
from actors.living import LIVES_S
from actors.ruling import LOOK_S, SURE_AFTER_S
from services.catalogue import KINDS
from services.deciding import Decision, Fold, Said
from services.kinds import Kinds, parts_of
from storage.memory import Store, open_memory
from storage.ports.entry import rules_of
from tests.actors.world import Client, Worker, World, new_id, open_world
from tests.services.log import Log

AFTER_S = SURE_AFTER_S + 3 * LOOK_S


def forbid_threads(fold: Fold, said: Said) -> Decision:
    """What only the rules 2 say: there are no threads."""
    if fold.ruling >= 2 and said.facts.get("thread"):
        return Decision("forbidden")
    return KINDS["message.reply"].decide(fold, said)


NEWER: Kinds = {**KINDS, "message.reply": msgspec.structs.replace(KINDS["message.reply"], decide=forbid_threads)}


@pytest.fixture
async def world(autojump_clock: object) -> AsyncIterator[World]:
    async with open_world("n1-w1", "n2-w1") as made:
        yield made


async def hello(worker: Worker, user: str) -> Client:
    client = Client(worker)
    assert "error" not in await client.ask("hello", token=user)
    return client


async def says(world: World, client: Client, root: str) -> str:
    """Say something in a thread; how it went."""
    return str((await client.ask("message.send", c="g", id=new_id(world), text="there", thread=root)).get("error", "ok"))


def compared(world: World) -> tuple[int, int]:
    books = [worker.assembly.agreement for worker in world.workers.values()]
    return sum(each.agreed for each in books), sum(each.differed for each in books)


def numbers(world: World) -> set[int]:
    return {rules_of(row.data) for rows in world.store.rows for row in rows}


async def test_the_number_is_raised_when_all_nodes_know_it_and_nobody_forks(world: World, autojump_clock: object) -> None:
    alice, bob = await hello(world.workers["n1-w1"], "alice"), await hello(world.workers["n2-w1"], "bob")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    root = new_id(world)
    await alice.ask("message.send", c="g", id=root, text="root")
    newer = await world.start("n3-w1", NEWER, 2)
    carols = await hello(newer, "alice")
    for client in (alice, bob, carols):
        await client.ask("conversation.watch", c="g", after=0)
    await trio.sleep(AFTER_S)
    assert [await says(world, client, root) for client in (alice, bob, carols)] == ["ok"] * 3, "not by rules that some do not know"
    assert numbers(world) == {1}

    await world.crash("n1-w1")
    await world.start("n1-w1", NEWER, 2)
    await trio.sleep(AFTER_S)
    alice = await hello(world.workers["n1-w1"], "alice")
    await alice.ask("conversation.watch", c="g", after=0)
    assert [await says(world, client, root) for client in (alice, bob, carols)] == ["ok"] * 3, "one of three is still the old one"
    assert numbers(world) == {1}

    await world.crash("n2-w1")
    await world.start("n2-w1", NEWER, 2)
    await trio.sleep(LIVES_S + AFTER_S)
    bob = await hello(world.workers["n2-w1"], "bob")
    await bob.ask("conversation.watch", c="g", after=0)
    assert [await says(world, client, root) for client in (alice, bob, carols)] == ["forbidden"] * 3
    assert "error" not in await bob.ask("message.send", c="g", id=new_id(world), text="not in a thread")
    await trio.sleep(1)
    assert numbers(world) == {1, 2}
    agreed, differed = compared(world)
    assert agreed > 10
    assert differed == 0
    assert not any(worker.assembly.reader.outdated.is_set() for worker in world.workers.values())


async def test_an_old_program_that_was_not_heard_of_stops_instead_of_deciding_otherwise(world: World, autojump_clock: object) -> None:
    alice = await hello(world.workers["n1-w1"], "alice")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    world.workers["n2-w1"].assembly.backend.counters.away = True  # type: ignore[attr-defined]
    await world.crash("n1-w1")
    newer = await world.start("n1-w1", NEWER, 2)
    await trio.sleep(LIVES_S + AFTER_S)
    alice = await hello(newer, "alice")
    assert "error" not in await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await trio.sleep(1)
    assert 2 in numbers(world)
    assert world.workers["n2-w1"].assembly.reader.outdated.is_set()


async def test_nothing_is_raised_while_nobody_can_be_asked(world: World, autojump_clock: object) -> None:
    for worker in world.workers.values():
        worker.assembly.backend.counters.away = True  # type: ignore[attr-defined]
    newer = await world.start("n3-w1", NEWER, 2)
    newer.assembly.backend.counters.away = True  # type: ignore[attr-defined]
    await trio.sleep(AFTER_S * 3)
    assert newer.assembly.ruling.number == 1


async def test_rooms_of_several_nodes_have_made_the_same_of_the_log(world: World, autojump_clock: object) -> None:
    alice, bob = await hello(world.workers["n1-w1"], "alice"), await hello(world.workers["n2-w1"], "bob")
    await alice.ask("conversation.create", type="group", id="g", members=["bob", "carol"])
    for client in (alice, bob):
        await client.ask("conversation.watch", c="g", after=0)
    for number in range(40):
        for client in (alice, bob):
            client.say("message.send", c="g", id=new_id(world), text=f"{number}")
        if number % 8 == 0:
            await alice.ask("member.update", c="g", user="carol", role="admin" if number % 16 else "member")
    await trio.sleep(5)
    agreed, differed = compared(world)
    assert agreed >= 2 * 80
    assert differed == 0


async def test_a_fold_that_went_wrong_is_found_out(autojump_clock: object) -> None:
    log, store = Log(), Store()
    async with open_memory(store) as one, open_memory(store) as other:
        books = [Agreement(Across(node, backend.bus), every=1) for node, backend in (("n1", one), ("n2", other))]
        fold, key = log.fold, Key("t", "c")
        fold.seq = 7
        books[0].applied(key, fold)
        books[1].applied(key, fold)
        await trio.sleep(0.1)
        assert [(each.agreed, each.differed) for each in books] == [(1, 0), (1, 0)]
        fold.seq = 8
        books[0].applied(key, fold)
        fold.frozen = True
        books[1].applied(key, fold)
        await trio.sleep(0.1)
        assert [(each.agreed, each.differed) for each in books] == [(1, 1), (1, 1)]


def test_a_conversation_begins_by_the_first_rules_whoever_folds_it() -> None:
    assert Fold(parts_of(NEWER, 2)).rules == Fold(parts_of(KINDS, 1)).rules == 1


def test_what_a_newer_program_wrote_is_refused_and_not_misread() -> None:
    entry, place, _ = Log().entries[0]
    assert Fold(parts_of(KINDS, 1)).apply(msgspec.structs.replace(entry, rules=2), place).code == "unknown_rules"
