"""Rebuilding gives, from the stored entries alone, what storing once wrote: to the byte and to the place."""

import random
from collections.abc import AsyncIterator

import pytest
import trio

from actors.rebuilding import FOLLOWS_FROM_THE_LOG, Broken, Rebuilding
from services.catalogue import KINDS
from services.kinds import parts_of
from storage.memory import open_memory
from storage.memory.store import Store
from storage.ports.entry import Place
from tests.actors.test_messages import joined, said
from tests.actors.world import World, new_id, open_world

Documents = dict[tuple[str, str], dict[str, tuple[Place, bytes | None]]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2", store=Store(8)) as made:
        yield made


async def live(world: World) -> None:
    """A little of everything that leaves documents, over more conversations than are kept folded and more entries than a window."""
    alice, bob, carol = await joined(world, "alice", "bob", "carol")
    chance = random.Random(1)
    ids = [await said(world, chance.choice([alice, bob]), f"{number}", mentions=["carol"] if number % 7 == 0 else []) for number in range(60)]
    thread = await said(world, bob, "aside", thread=ids[0])
    for client in (alice, bob, carol):
        await client.ask("reaction.add", c="g", id=ids[3], emoji="👍")
    await bob.ask("reaction.remove", c="g", id=ids[3], emoji="👍")
    author = {"alice": alice, "bob": bob}[(await alice.ask("message.get", c="g", id=ids[5]))["message"]["sender"]]
    await author.ask("message.edit", c="g", id=ids[5], text="other")
    await alice.ask("message.pin", c="g", id=ids[6])
    await carol.ask("message.delete", c="g", id=ids[7], **{"for": "me"})
    await bob.ask("message.delete", c="g", id=thread, **{"for": "all"})
    await carol.ask("message.read", c="g", seq=30)
    for number in range(6):
        await alice.ask("conversation.create", type="group", id=f"r{number}", members=["alice", "bob"])
        await said(world, alice, "hello", room=f"r{number}")
    direct = await alice.ask("conversation.create", type="direct", members=["carol"])
    await said(world, alice, "you", room=direct["conversation"]["id"])
    await carol.ask("user.block", user="alice", op=new_id(world))
    await alice.ask("member.remove", c="g", user="carol", op=new_id(world))
    await trio.sleep(30)


def derived(store: Store) -> Documents:
    return {of: dict(shelf) for of, shelf in store._documents.items() if of[1] in FOLLOWS_FROM_THE_LOG and shelf}


async def rebuilt(store: Store) -> Rebuilding:
    async with open_memory(store) as backend:
        await backend.documents.forget(FOLLOWS_FROM_THE_LOG)
        assert derived(store) == {}
        rebuilding = Rebuilding(backend.log, backend.documents, parts_of(KINDS), KINDS)
        for partition in range(store.partitions):
            await rebuilding.partition(partition)
        return rebuilding


async def test_all_that_follows_from_the_log_comes_back_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch, autojump_clock: object) -> None:
    monkeypatch.setattr("actors.rebuilding.PAGE", 10)
    monkeypatch.setattr("actors.rebuilding.FOLDS", 2)
    await live(world)
    for name in ("w1", "w2"):
        await world.leave(name)
    before = derived(world.store)
    assert {collection for _, collection in before} >= {"heads", "parts", "memberships", "overlays", "hidden", "pointers", "blocks", "reactions"}
    entries, places = sum(len(followed) for followed in world.store._followed), dict(world.store.places)
    again = await rebuilt(world.store)
    assert derived(world.store) == before
    assert (again.entries, world.store.places) == (entries, places)


async def test_no_other_collection_follows_from_the_log(world: World, autojump_clock: object) -> None:
    written: set[str] = set()
    store = world.store.store
    world.store.store = lambda step: (written.update(change.collection for change in (*step.changes, *step.heads)), store(step))[1]  # type: ignore
    await live(world)
    assert written <= set(FOLLOWS_FROM_THE_LOG)


async def test_entries_that_are_missing_are_told_and_nothing_is_made_up(world: World, autojump_clock: object) -> None:
    await live(world)
    for name in ("w1", "w2"):
        await world.leave(name)
    partition = next(number for number, followed in enumerate(world.store._followed) if len(followed) > 50)
    del world.store._followed[partition][10]
    with pytest.RaisesGroup(pytest.RaisesExc(Broken, match="entries are missing before it"), flatten_subgroups=True):
        await rebuilt(world.store)


async def test_an_empty_set_up_is_nothing_to_rebuild(autojump_clock: object) -> None:
    assert (await rebuilt(Store(8))).entries == 0
