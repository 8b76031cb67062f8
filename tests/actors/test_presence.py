"""Presence, over two workers and to the second: who is there, who sees it, and what no move, kill or broken link changes."""

import random
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import trio

from actors.keys import Key
from tests.actors.world import T0, TENANT, Client, World, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def greeted(world: World, name: str, worker: str = "w1") -> Client:
    client = Client(world.workers[worker])
    await client.ask("hello", token=name)
    return client


async def watching(world: World, *users: str, name: str = "bob", worker: str = "w2") -> Client:
    """Somebody who watches these users' presence; what the reply said is in `told`."""
    client = await greeted(world, name, worker)
    client.told = (await client.ask("presence.watch", users=list(users)))["items"]  # type: ignore[attr-defined]
    return client


def heard(client: Client, user: str = "alice") -> list[str]:
    return [push["p"]["status"] for push in client.got("presence.changed") if push["p"]["user"] == user]


def owner(world: World, user: str) -> str:
    """The worker on which a user's personal room is."""
    assembly = next(iter(world.workers.values())).assembly
    return assembly.router.owner(Key(TENANT, personal(world, user)))


def personal(world: World, user: str) -> str:
    assembly = next(iter(world.workers.values())).assembly
    return assembly.tenants.known(TENANT).personal(world.internal[user])


def now_ms() -> int:
    return T0 + int(trio.current_time() * 1000)


async def test_offline_online_and_offline_thirty_seconds_after_the_last_connection(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    assert bob.told == [{"user": "alice", "status": "offline"}]  # type: ignore[attr-defined]
    alice = await greeted(world, "alice")
    await trio.sleep(0.1)
    assert heard(bob) == ["online"]
    left = now_ms()
    alice.drop()
    await trio.sleep(29.9)
    assert heard(bob) == ["online"]
    await trio.sleep(0.2)
    assert bob.got("presence.changed")[-1]["p"] == {"user": "alice", "status": "offline", "last_seen_at": left}


async def test_a_resume_is_not_seen(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    for _ in range(5):
        alice = await greeted(world, "alice", "w1")
        await trio.sleep(40)
        alice.drop()
        await trio.sleep(29)
        alice = await greeted(world, "alice", "w2")
        await trio.sleep(40)
        alice.drop()
        await trio.sleep(29)
    assert heard(bob) == ["online"]


async def test_of_several_devices_the_last_one_counts(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    devices = [await greeted(world, "alice", worker) for worker in ("w1", "w1", "w2")]
    for device in devices:
        await trio.sleep(60)
        assert heard(bob) == ["online"]
        device.drop()
    await trio.sleep(29)
    assert heard(bob) == ["online"]
    await trio.sleep(1.1)
    assert heard(bob) == ["online", "offline"]


async def test_away_after_five_minutes_without_a_command_on_any_device(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    phone, laptop = await greeted(world, "alice", "w1"), await greeted(world, "alice", "w2")
    await trio.sleep(200)
    await laptop.ask("conversation.list")
    await trio.sleep(299.9)
    assert heard(bob) == ["online"]
    await trio.sleep(0.2)
    assert heard(bob) == ["online", "away"]
    await trio.sleep(600)
    await phone.ask("conversation.list")
    await trio.sleep(0.1)
    assert heard(bob) == ["online", "away", "online"]
    await trio.sleep(300)
    assert heard(bob) == ["online", "away", "online", "away"]
    laptop.drop(), phone.drop()
    await trio.sleep(31)
    assert heard(bob)[-1] == "offline"


async def test_who_keeps_sending_is_never_away(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    alice = await greeted(world, "alice")
    for _ in range(4):
        await trio.sleep(299)
        await alice.ask("conversation.list")
    assert heard(bob) == ["online"]


async def test_a_second_device_of_an_idle_user_brings_them_back(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    await greeted(world, "alice")
    await trio.sleep(301)
    await greeted(world, "alice")
    await trio.sleep(0.1)
    assert heard(bob) == ["online", "away", "online"]


async def test_what_is_chosen_is_told_to_the_others_and_to_ones_own_devices(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    alice, phone = await greeted(world, "alice"), await greeted(world, "alice", "w2")
    assert await alice.ask("presence.set", status="dnd", text="in a meeting") == {}
    await trio.sleep(0.5)
    assert bob.got("presence.changed")[-1]["p"] == {"user": "alice", "status": "dnd", "text": "in a meeting"}
    [changed] = phone.got("setting.changed", "me")
    assert changed["p"] == {"name": "presence", "value": {"status": "dnd", "text": "in a meeting"}}
    await trio.sleep(400)
    assert heard(bob) == ["online", "dnd"]
    await alice.ask("presence.set", status="away")
    await trio.sleep(0.5)
    assert bob.got("presence.changed")[-1]["p"] == {"user": "alice", "status": "away"}
    await alice.ask("presence.set", status="online")
    await trio.sleep(0.5)
    assert heard(bob) == ["online", "dnd", "away", "online"]


async def test_choosing_the_same_again_changes_nothing(world: World, autojump_clock: object) -> None:
    alice = await greeted(world, "alice")
    assert await alice.ask("presence.set", status="dnd") == {}
    assert await alice.ask("presence.set", status="dnd") == {"unchanged": True}
    assert await alice.ask("presence.set", status="online") == {}
    assert await alice.ask("presence.set", status="dnd") == {}
    await trio.sleep(0.5)
    assert len(alice.got("setting.changed")) == 3


async def test_it_lasts_over_sessions_and_restarts(autojump_clock: object) -> None:
    async with open_world("w1", "w2") as world:
        alice = await greeted(world, "alice")
        await alice.ask("presence.set", status="dnd", text="writing")
        alice.drop()
        await trio.sleep(120)
        bob = await watching(world, "alice")
        [told] = bob.told  # type: ignore[attr-defined]
        assert (told["status"], "text" in told) == ("offline", False)
        store = world.store
    async with open_world("w3", store=store) as world:
        assert (await watching(world, "alice", worker="w3")).told == [told]  # type: ignore[attr-defined]
        await greeted(world, "alice", "w3")
        bob = await watching(world, "alice", worker="w3")
        assert bob.told == [{"user": "alice", "status": "dnd", "text": "writing"}]  # type: ignore[attr-defined]


async def test_it_holds_from_the_verdict_on_though_the_owner_is_killed(world: World, autojump_clock: object) -> None:
    elsewhere = {"w1": "w2", "w2": "w1"}[owner(world, "alice")]
    alice = await greeted(world, "alice", elsewhere)
    bob = await watching(world, "alice", worker=elsewhere)
    await alice.ask("presence.set", status="dnd")
    await world.crash(owner(world, "alice"))
    await trio.sleep(40)
    assert (heard(bob), (await bob.ask("presence.get", users=["alice"]))["items"][0]["status"]) == (["dnd"], "dnd")


# Invisible.


async def test_who_becomes_invisible_is_offline_at_once_and_looks_like_it(world: World, autojump_clock: object) -> None:
    bob, real = await watching(world, "alice"), await greeted(world, "alice")
    await trio.sleep(100)
    before = now_ms()
    await real.ask("presence.set", status="invisible", text="hidden")
    await trio.sleep(0.1)
    [*_, told] = bob.got("presence.changed")
    assert told["p"] == {"user": "alice", "status": "offline", "last_seen_at": before - 30_000}


async def test_nothing_that_an_invisible_user_does_is_seen(world: World, autojump_clock: object) -> None:
    bob, alice = await watching(world, "alice"), await greeted(world, "alice")
    await alice.ask("presence.set", status="invisible")
    await trio.sleep(1)
    seen = bob.got("presence.changed")[-1]["p"]
    count = len(heard(bob))
    await trio.sleep(400)
    await alice.ask("conversation.list")
    phone = await greeted(world, "alice", "w2")
    await phone.ask("presence.set", status="invisible", text="still")
    alice.drop(), phone.drop()
    await trio.sleep(100)
    phone = await greeted(world, "alice", "w2")
    await trio.sleep(1)
    assert len(heard(bob)) == count
    for worker in ("w1", "w2"):
        assert (await watching(world, "alice", worker=worker, name="carol")).told == [seen]  # type: ignore[attr-defined]
    await phone.ask("presence.set", status="online")
    await trio.sleep(0.1)
    assert heard(bob)[count:] == ["online"]


async def test_ones_own_view_is_the_truth(world: World, autojump_clock: object) -> None:
    alice, other = await watching(world, "alice", name="alice", worker="w1"), await watching(world, "alice")
    assert alice.told == [{"user": "alice", "status": "online"}]  # type: ignore[attr-defined]
    await alice.ask("presence.set", status="invisible", text="sh")
    await trio.sleep(0.1)
    assert [push["p"]["status"] for push in alice.got("presence.changed")] == ["invisible"]
    assert (await alice.ask("presence.get", users=["alice"]))["items"] == [{"user": "alice", "status": "invisible", "text": "sh"}]
    assert heard(other)[-1] == "offline"


# Blocks.


@pytest.mark.parametrize("worker", ["w1", "w2"])
async def test_to_whom_one_blocks_one_is_never_there(world: World, worker: str, autojump_clock: object) -> None:
    alice = await greeted(world, "alice", "w1")
    bob, carol = await watching(world, "alice", worker=worker), await watching(world, "alice", name="carol", worker=worker)
    await alice.ask("user.block", user="bob")
    await trio.sleep(1)
    assert [push["p"] for push in bob.got("presence.changed")] == [{"user": "alice", "status": "offline"}]
    for status in ("dnd", "online"):
        await alice.ask("presence.set", status=status)
        await trio.sleep(0.1)
    assert (heard(bob), heard(carol)) == (["offline"], ["dnd", "online"])
    assert (await watching(world, "alice", worker="w2")).told == [{"user": "alice", "status": "offline"}]  # type: ignore[attr-defined]
    assert (await bob.ask("presence.get", users=["alice"]))["items"] == [{"user": "alice", "status": "offline"}]
    assert (await alice.ask("presence.get", users=["bob"]))["items"] == [{"user": "bob", "status": "online"}]
    await alice.ask("user.unblock", user="bob")
    await trio.sleep(1)
    assert (heard(bob), heard(carol)) == (["offline", "online"], ["dnd", "online"])


# Watching.


async def test_the_reply_has_everybody_and_nothing_comes_after_unwatch(world: World, autojump_clock: object) -> None:
    await greeted(world, "carol")
    bob = await watching(world, "alice", "carol", "alice")
    assert {item["user"]: item["status"] for item in bob.told} == {"alice": "offline", "carol": "online"}  # type: ignore[attr-defined]
    assert await bob.ask("presence.unwatch", users=["alice", "nobody"]) == {}
    alice = await greeted(world, "alice")
    await alice.ask("presence.set", status="dnd")
    await trio.sleep(40)
    assert bob.got("presence.changed") == []
    assert (await bob.ask("presence.watch", users=["alice"]))["items"][0]["status"] == "dnd"
    await alice.ask("presence.set", status="online")
    await trio.sleep(0.1)
    assert heard(bob) == ["online"]


async def test_who_watches_gets_nothing_else_of_that_user(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    alice = await greeted(world, "alice")
    await alice.ask("conversation.create", type="group", id="g", members=["carol"])
    await alice.ask("presence.set", status="dnd")
    await trio.sleep(1)
    assert len(alice.got("setting.changed", "me")) == 1
    assert {push["t"] for push in bob.pushes} == {"presence.changed"}


async def test_what_cannot_be_watched_is_refused(world: World, autojump_clock: object) -> None:
    bob = await greeted(world, "bob")
    for m in ("presence.watch", "presence.get"):
        answer = await bob.ask(m, users=["alice", "nobody"])
        assert (answer["error"], answer["field"]) == ("not_found", "users.1")
        answer = await bob.ask(m, users=["alice"] * 101)
        assert (answer["error"], answer["limit"]) == ("too_large", {"name": "members", "max": 100, "got": 101})
    assert (await bob.ask("presence.set", status="offline"))["error"] == "bad_request"
    assert (await bob.ask("presence.set", status="dnd", text="x" * 257))["field"] == "text"


async def test_a_connection_watches_five_hundred_and_no_more(autojump_clock: object) -> None:
    people = tuple(f"u{n}" for n in range(501))
    async with open_world("w1", "w2", users=("bob", *people)) as world:
        bob = await greeted(world, "bob")
        for start in range(0, 500, 100):
            assert len((await bob.ask("presence.watch", users=list(people[start:start + 100])))["items"]) == 100
        answer = await bob.ask("presence.watch", users=["u500"])
        assert (answer["error"], answer["limit"]) == ("too_many", {"name": "presence", "max": 500, "got": 501})
        assert len((await bob.ask("presence.watch", users=["u1", "u2"]))["items"]) == 2
        await bob.ask("presence.unwatch", users=["u0"])
        assert "error" not in await bob.ask("presence.watch", users=["u500"])
        bob.drop()
        await trio.sleep(120)
        assert [len(worker.assembly.presences.watched) for worker in world.workers.values()] == [0, 0]
        assert [len(worker.assembly.rooms) for worker in world.workers.values()] == [0, 0]


async def test_over_rest(world: World, autojump_clock: object) -> None:
    assembly = world.workers["w1"].assembly
    await greeted(world, "carol", "w2")
    alice = (await world.workers["w1"].authenticate("alice")).scope

    async def call(name: str, **p: Any) -> dict[str, Any]:
        return await assembly.dispatch.call(alice, assembly.table[name], p)

    assert [assembly.table[name].path for name in ("presence.get", "presence.set")] == ["/presence", "/presence"]
    assert await call("presence.set", status="dnd") == {}
    found = await call("presence.get", users=["carol", "alice"])
    assert found == {"items": [{"user": "carol", "status": "online"}, {"user": "alice", "status": "offline"}]}
    await greeted(world, "alice")
    assert (await call("presence.get", users=["alice"]))["items"] == [{"user": "alice", "status": "dnd"}]


# Rooms and workers come and go.


@pytest.mark.parametrize("joins", [("w0",), ("w3",), ("w0", "w3", "w4")])
async def test_when_rooms_move_nothing_is_seen_and_nothing_is_lost(world: World, joins: tuple[str, ...], autojump_clock: object) -> None:
    clients = [await greeted(world, name, worker) for name, worker in (("alice", "w1"), ("carol", "w2"))]
    bob = await watching(world, "alice", "carol")
    for name in joins:
        await world.start(name)
        await trio.sleep(40)
    assert heard(bob) + heard(bob, "carol") == []
    for client in clients:
        client.drop()
    await trio.sleep(29)
    assert heard(bob) + heard(bob, "carol") == []
    await trio.sleep(1.2)
    assert heard(bob) + heard(bob, "carol") == ["offline", "offline"]


async def test_a_room_that_moves_while_nobody_is_there_begins_the_thirty_seconds_anew(world: World, autojump_clock: object) -> None:
    alice, bob = await greeted(world, "alice"), await watching(world, "alice")
    before = owner(world, "alice")
    alice.drop()
    await trio.sleep(20)
    for name in ("w0", "w3"):
        await world.start(name)
        if owner(world, "alice") != before:
            break
    moved = trio.current_time()
    while not heard(bob):
        await trio.sleep(0.5)
    assert 10 <= trio.current_time() - moved <= 31
    assert heard(bob) == ["offline"]


async def test_when_somebody_left_is_kept_though_the_room_moves_within_the_thirty_seconds(world: World, autojump_clock: object) -> None:
    alice, before = await greeted(world, "alice"), owner(world, "alice")
    left = now_ms()
    alice.drop()
    await trio.sleep(20)
    for name in ("w0", "w3"):
        await world.start(name)
        await trio.sleep(1)
        if owner(world, "alice") != before:
            break
    await trio.sleep(60)
    assert (await watching(world, "alice")).told == [{"user": "alice", "status": "offline", "last_seen_at": left}]  # type: ignore[attr-defined]


async def test_a_worker_that_is_killed_takes_its_connections_along(world: World, autojump_clock: object) -> None:
    await greeted(world, "alice", "w1")
    await greeted(world, "carol", "w1")
    bob = await watching(world, "alice", "carol", worker="w2")
    carol = await greeted(world, "carol", "w2")
    await world.crash("w1")
    await trio.sleep(29)
    assert heard(bob) + heard(bob, "carol") == []
    await trio.sleep(2)
    assert heard(bob) == ["offline"]
    assert (heard(bob, "carol"), carol.closed_with) == ([], None)
    told = bob.got("presence.changed")[0]["p"]
    assert now_ms() - 33_000 < told["last_seen_at"] < now_ms() - 28_000
    assert (await watching(world, "alice", name="carol")).told == [told]  # type: ignore[attr-defined]


async def test_who_comes_back_after_a_kill_was_never_gone(world: World, autojump_clock: object) -> None:
    await greeted(world, "alice", "w1")
    bob = await watching(world, "alice", worker="w2")
    await world.crash("w1")
    await trio.sleep(10)
    await greeted(world, "alice", "w2")
    await trio.sleep(200)
    assert heard(bob) == []


async def test_a_link_that_breaks_is_not_seen(world: World, autojump_clock: object) -> None:
    await greeted(world, "alice", "w1")
    await greeted(world, "carol", "w2")
    bob, also = await watching(world, "alice", "carol", worker="w2"), await watching(world, "alice", "carol", worker="w1")
    for _ in range(5):
        world.cut("w1")
        await trio.sleep(2)
        world.mend()
        await trio.sleep(40)
    for client in (bob, also):
        assert heard(client) + heard(client, "carol") == []


async def test_what_nobody_can_tell_is_unknown_and_never_offline(world: World, autojump_clock: object) -> None:
    here, there = owner(world, "carol"), {"w1": "w2", "w2": "w1"}[owner(world, "carol")]
    await greeted(world, "carol", there)
    bob = await watching(world, "alice", name="bob", worker=here)
    world.cut(there)
    answer = await bob.ask("presence.watch", users=["carol"])
    assert answer["items"][0]["status"] in ("online", "unknown")  # within the thirty seconds it is believed
    await trio.sleep(31)
    assert (await bob.ask("presence.get", users=["carol"]))["items"] == [{"user": "carol", "status": "unknown"}]
    world.mend()
    await trio.sleep(3)
    assert heard(bob, "carol")[-1] == "online"


async def test_a_room_out_of_reach_makes_it_unknown_until_it_is_back(world: World, autojump_clock: object) -> None:
    await greeted(world, "alice", "w1")
    away = owner(world, "alice")
    near = {"w1": "w2", "w2": "w1"}[away]
    bob = await watching(world, "alice", worker=near)
    world.cut(away)
    await trio.sleep(4)
    assert heard(bob) == []
    await trio.sleep(2)
    assert heard(bob) == ["unknown"]
    world.mend()
    await trio.sleep(1)
    assert heard(bob) == ["unknown", "online"]


async def test_a_room_that_ends_by_itself_is_told_everything_anew(world: World, autojump_clock: object) -> None:
    alice, bob = await greeted(world, "alice"), await watching(world, "alice")
    rooms = world.workers[owner(world, "alice")].assembly.rooms
    await rooms.stop(f"{TENANT}/{personal(world, 'alice')}")
    await trio.sleep(60)
    assert heard(bob) == []
    await alice.ask("presence.set", status="dnd")
    await trio.sleep(0.1)
    assert heard(bob) == ["dnd"]
    alice.drop()
    await trio.sleep(31)
    assert heard(bob) == ["dnd", "offline"]


async def test_workers_know_who_is_with_them(world: World, autojump_clock: object) -> None:
    found: list[dict[str, bool] | None] = []
    ask = world.workers["w1"].assembly.presences.ask_all
    key = Key(TENANT, personal(world, "alice"))
    ask(key, found.append)
    await greeted(world, "alice", "w2")
    await trio.sleep(301)
    client = await greeted(world, "alice", "w1")
    ask(key, found.append)
    client.drop()
    await trio.sleep(1)
    ask(key, found.append)
    world.cut("w2")
    ask(key, found.append)
    assert found == [{}, {"w1": False, "w2": True}, {"w2": True}, None]


async def test_while_a_user_is_there_the_room_dozes(world: World, autojump_clock: object) -> None:
    bob = await watching(world, "alice")
    alice = await greeted(world, "alice")
    await trio.sleep(1_000)
    room = world.workers[owner(world, "alice")].assembly.rooms.find(f"{TENANT}/{personal(world, 'alice')}")
    assert room is not None
    assert room._life.actor.awake is False
    await alice.ask("conversation.list")
    await trio.sleep(0.1)
    assert (heard(bob)[-1], room._life.actor.awake) == ("online", False)
    alice.drop()
    await trio.sleep(31)
    assert heard(bob)[-1] == "offline"


async def test_a_dozing_room_wakes_by_what_was_chosen_at_another_worker(world: World, autojump_clock: object) -> None:
    """It is in the tail and not stored yet. What it means for who watches is asked of a fold that is awake."""
    bob = await watching(world, "alice")
    alice = await greeted(world, "alice")
    await trio.sleep(1_000)
    own = owner(world, "alice")
    other = next(worker for name, worker in world.workers.items() if name != own)
    room = world.workers[own].assembly.rooms.find(f"{TENANT}/{personal(world, 'alice')}")
    assert room is not None
    assert room._life.actor.awake is False
    other.assembly.router._owners = [other.name] * 8  # it believes that everything is its own
    await other.assembly.reader.assign(range(8))
    second = await greeted(world, "alice", other.name)
    await second.ask("presence.set", status="dnd")
    await trio.sleep(0.1)
    assert world.workers[own].assembly.rooms.find(f"{TENANT}/{personal(world, 'alice')}") is room
    await alice.ask("presence.set", status="away")
    await trio.sleep(0.1)
    assert heard(bob)[-1] == "away"


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_devices_do_the_watchers_see_what_the_rule_says(world: World, seed: int, autojump_clock: object) -> None:
    """A random walk; after each step two watchers, one on either worker, are compared with the rule in `tests/services/presence`."""
    rng = random.Random(seed)
    lookers = [await watching(world, "alice", worker=worker) for worker in ("w1", "w2")]
    devices: dict[Client, float] = {}
    left_at, idle_then, chosen = -1_000.0, False, "online"
    for _ in range(40):
        now = trio.current_time()
        what = rng.choice(["come", "go", "use", "choose", "wait", "wait"])
        if what == "come" and len(devices) < 5:
            devices[await greeted(world, "alice", rng.choice(["w1", "w2"]))] = trio.current_time()
        elif what == "go" and devices:
            idle_then = now - max(devices.values()) >= 300
            gone = rng.choice(list(devices))
            del devices[gone]
            gone.drop()
            left_at = now if not devices else left_at
        elif what == "use" and devices:
            used = rng.choice(list(devices))
            await used.ask("conversation.list")
            devices[used] = trio.current_time()
        elif what == "choose" and devices:
            used, chosen = rng.choice(list(devices)), rng.choice(["online", "away", "dnd", "invisible"])
            await used.ask("presence.set", status=chosen)
            devices[used] = trio.current_time()
        await trio.sleep(rng.choice([1, 1, 28, 31, 150, 301]) if what == "wait" else 1)
        truth = rule(list(devices.values()), left_at, idle_then, chosen, trio.current_time())
        for looker in lookers:
            shown = (heard(looker) or ["offline"])[-1]
            assert shown == truth, (what, heard(looker))
    for looker in lookers:
        statuses = ["offline", *heard(looker)]
        assert all(one != other for one, other in pairwise(statuses)), "nothing is told that is no change"


def rule(used: list[float], left_at: float, idle_then: bool, chosen: str, now: float) -> str:
    """What others see."""
    if chosen == "invisible" or (not used and now - left_at >= 30):
        return "offline"
    idle = now - max(used) >= 300 if used else idle_then
    return "away" if chosen == "online" and idle else chosen
