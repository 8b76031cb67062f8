"""Presence over three nodes: who is there, wherever they are; what no lost hint, dead node or missing counter turns into a lie."""

from collections.abc import AsyncIterator

import pytest
import trio

from actors.elsewhere import LOOK_S, SURE_AFTER_S, UNKNOWN_AFTER_S
from actors.living import LIVES_S
from actors.tenant import MOST_EVERYWHERE, MOST_OF_A_USER
from services.presence.fold import SEEN
from services.presence.state import AWAY_AFTER_S, GONE_AFTER_S
from services.rates.model import Policy
from storage.ports.entry import decode_entry
from tests.actors.world import T0, TENANT, Client, World, open_world


@pytest.fixture
async def world(autojump_clock: object) -> AsyncIterator[World]:
    async with open_world("n1-w1", "n1-w2", "n2-w1", "n2-w2", "n3-w1") as made:
        yield made


async def greeted(world: World, name: str, worker: str) -> Client:
    client = Client(world.workers[worker])
    assert "error" not in await client.ask("hello", token=name)
    return client


async def watching(world: World, worker: str, name: str = "bob", user: str = "alice") -> tuple[Client, str]:
    """Somebody who watches a user's presence, and what the reply said."""
    client = await greeted(world, name, worker)
    [item] = (await client.ask("presence.watch", users=[user]))["items"]
    return client, item["status"]


def heard(client: Client) -> list[str]:
    return [push["p"]["status"] for push in client.got("presence.changed")]


def kept(world: World) -> int:
    """How often the log has that somebody was seen."""
    return sum(decode_entry(row.data).kind == SEEN for rows in world.store.rows for row in rows)


def lose_hints(world: World) -> None:
    world.store.heard = dict.fromkeys(world.store.heard, lambda topic, message: None)


async def test_online_and_offline_are_told_on_every_node_and_kept_once(world: World, autojump_clock: object) -> None:
    watchers = [await watching(world, worker) for worker in ("n1-w2", "n2-w1", "n3-w1")]
    assert [status for _, status in watchers] == ["offline"] * 3
    alice = await greeted(world, "alice", "n1-w1")
    await trio.sleep(1)
    assert [heard(client) for client, _ in watchers] == [["online"]] * 3
    left = T0 + int(trio.current_time() * 1000)
    alice.drop()
    await trio.sleep(GONE_AFTER_S - 0.5)
    assert [heard(client) for client, _ in watchers] == [["online"]] * 3
    await trio.sleep(1)
    assert [heard(client) for client, _ in watchers] == [["online", "offline"]] * 3
    assert all(abs(client.got("presence.changed")[-1]["p"]["last_seen_at"] - left) < 100 for client, _ in watchers)
    await trio.sleep(60)
    assert kept(world) == 1
    assert [len(heard(client)) for client, _ in watchers] == [2] * 3


async def test_who_is_there_already_is_found(world: World, autojump_clock: object) -> None:
    await greeted(world, "alice", "n1-w1")
    await trio.sleep(1)
    assert (await watching(world, "n3-w1"))[1] == "online"


async def test_coming_back_on_another_node_is_not_seen(world: World, autojump_clock: object) -> None:
    bob, _ = await watching(world, "n3-w1")
    for worker in ("n1-w1", "n2-w1", "n1-w2", "n3-w1", "n2-w2"):
        alice = await greeted(world, "alice", worker)
        await trio.sleep(40)
        alice.drop()
        await trio.sleep(GONE_AFTER_S - 2)
    assert heard(bob) == ["online"]


async def test_of_devices_on_several_nodes_the_last_one_counts(world: World, autojump_clock: object) -> None:
    bob, _ = await watching(world, "n3-w1")
    for device in [await greeted(world, "alice", worker) for worker in ("n1-w1", "n2-w1", "n3-w1")]:
        await trio.sleep(60)
        assert heard(bob) == ["online"]
        device.drop()
    await trio.sleep(GONE_AFTER_S + 1)
    assert heard(bob) == ["online", "offline"]


async def test_away_is_who_is_idle_on_all_nodes(world: World, autojump_clock: object) -> None:
    bob, _ = await watching(world, "n3-w1")
    one, other = [await greeted(world, "alice", worker) for worker in ("n1-w1", "n2-w1")]
    await trio.sleep(AWAY_AFTER_S - 10)
    await one.ask("conversation.list")
    await trio.sleep(30)
    assert heard(bob) == ["online"], "one of the two is idle"
    await trio.sleep(AWAY_AFTER_S)
    assert heard(bob) == ["online", "away"]
    await other.ask("conversation.list")
    await trio.sleep(1)
    assert heard(bob) == ["online", "away", "online"]


async def test_the_users_of_a_node_that_dies_are_offline_after_a_while(world: World, autojump_clock: object) -> None:
    bob, _ = await watching(world, "n2-w1")
    await greeted(world, "alice", "n1-w1")
    await trio.sleep(20)
    for worker in ("n1-w1", "n1-w2"):
        world.workers.pop(worker).scope.cancel()
    await trio.sleep(GONE_AFTER_S)
    assert heard(bob) == ["online"]
    await trio.sleep(LIVES_S + LOOK_S + 1)
    assert heard(bob) == ["online", "offline"]
    await trio.sleep(60)
    assert kept(world) == 1, "whoever finds out has the log keep it"


async def test_hints_may_be_lost(world: World, autojump_clock: object) -> None:
    bob, _ = await watching(world, "n2-w1")
    lose_hints(world)
    alice = await greeted(world, "alice", "n1-w1")
    await trio.sleep(LOOK_S + 0.5)
    assert heard(bob) == ["online"]
    alice.drop()
    await trio.sleep(LOOK_S + GONE_AFTER_S + 0.5)
    assert heard(bob) == ["online", "offline"]


async def test_without_counters_who_is_not_here_is_unknown_and_never_offline(world: World, autojump_clock: object) -> None:
    bob, _ = await watching(world, "n2-w1")
    carol, status = await watching(world, "n2-w1", user="carol")
    await greeted(world, "alice", "n1-w1")
    await greeted(world, "carol", "n2-w2")
    await trio.sleep(10)
    assert (heard(bob), status, heard(carol)) == (["online"], "offline", ["online"])
    counters = [worker.assembly.backend.counters for worker in world.workers.values()]
    for each in counters:
        each.away = True  # type: ignore[attr-defined]
    lose_hints(world)
    await trio.sleep(UNKNOWN_AFTER_S + 2 * LOOK_S)
    assert heard(bob) == ["online", "unknown"]
    assert heard(carol) == ["online"], "she is here"
    for each in counters:
        each.away = False  # type: ignore[attr-defined]
    await trio.sleep(2 * LOOK_S + SURE_AFTER_S)
    assert heard(bob) == ["online", "unknown", "online"]


async def test_counters_that_lost_everything_are_told_again(world: World, autojump_clock: object) -> None:
    bob, _ = await watching(world, "n2-w1")
    await greeted(world, "alice", "n1-w1")
    await trio.sleep(10)
    world.store.lives.clear()
    world.store.marks.clear()
    await trio.sleep(2 * GONE_AFTER_S)
    assert heard(bob) == ["online"]
    assert (await watching(world, "n3-w1", name="carol"))[1] == "online"


async def test_what_a_stopped_worker_had_marked_is_over_when_it_comes_back(world: World, autojump_clock: object) -> None:
    """It could not say for long that it lives; what it could not take away meanwhile does not come back to life with it."""
    bob, _ = await watching(world, "n2-w1")
    alice = await greeted(world, "alice", "n1-w1")
    await trio.sleep(10)
    counters = world.workers["n1-w1"].assembly.backend.counters
    counters.away = True  # type: ignore[attr-defined]
    alice.drop()
    lose_hints(world)
    await trio.sleep(3 * LIVES_S)
    counters.away = False  # type: ignore[attr-defined]
    await trio.sleep(2 * GONE_AFTER_S)
    assert heard(bob) == ["online", "offline"]


async def test_nobody_is_kept_awake_by_devices_elsewhere(world: World, autojump_clock: object) -> None:
    one = await greeted(world, "alice", "n1-w1")
    await trio.sleep(1)
    await greeted(world, "alice", "n2-w1")
    one.drop()
    await trio.sleep(200)
    personal = world.workers["n1-w1"].assembly.tenants.known(TENANT).personal(world.internal["alice"])
    awake = {worker.node for worker in world.workers.values() for name in list(worker.assembly.rooms.keys()) if name.endswith(personal)}
    assert "n2" in awake
    assert "n1" not in awake
    assert kept(world) == 0


async def test_a_user_has_so_many_connections_over_all_nodes(autojump_clock: object) -> None:
    workers = [f"n{number}-w1" for number in range(1, 6)]
    async with open_world(*workers, policy=Policy()) as world:
        clients = []
        for worker in workers[:3]:
            for _ in range(MOST_OF_A_USER):
                clients.append(await greeted(world, "alice", worker))
                await trio.sleep(1)
        assert len(clients) == MOST_EVERYWHERE
        refused = await Client(world.workers[workers[3]]).ask("hello", token="alice")
        assert (refused["error"], refused["limit"]["name"]) == ("too_many", "connections")
        clients[0].drop()
        await trio.sleep(5)
        await greeted(world, "alice", workers[3])
