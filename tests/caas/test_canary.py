"""The canary: all is well while all is well, whatever befalls the workers; and what is lost or doubled it finds. On a virtual clock."""

import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.fanout import Fanout
from actors.keys import Key
from caas.canary import ROOMS, TENANT, WITHIN_S, Canary, Song
from caas.checks import CHECKS, Found, Ground
from caas.checks import node as node_checks
from caas.config import Config
from caas.doctor import examine
from storage.memory.store import Store
from storage.memory.weather import Calm, Fate
from storage.ports.errors import StorageAway
from tests.actors.world import Client, World, open_world
from tests.journeys.conftest import serving
from tests.sim.planted import it_is_answered_before_it_is_durable, what_was_passed_on_is_passed_on_again

EVERY_S = 15.0
Patch = pytest.MonkeyPatch


class Weather(Calm):
    """Calm, until told otherwise."""

    fate = Fate()

    def of_write(self) -> Fate:
        return self.fate


@pytest.fixture
async def world(autojump_clock: object) -> AsyncIterator[World]:
    async with open_world("w1", "w2", store=Store(8, weather=Weather())) as made:
        yield made


def weather(world: World) -> Weather:
    assert isinstance(world.store.weather, Weather)
    return world.store.weather


def canaries(world: World, timed: Callable[[str, float], None] = lambda until, seconds: None) -> dict[str, Canary]:
    """One on every worker, all running."""
    made = {}
    for name, worker in world.workers.items():
        assembly = worker.assembly
        made[name] = Canary(me=name, node="", every_s=EVERY_S, members=lambda: world.workers, dispatch=assembly.dispatch, fanout=assembly.fanout,
                            users=assembly.users, ids=world.sim.ids, unframe=lambda wire: [wire], timed=timed)
        world.nursery.start_soon(made[name].run)
    return made


def well(canary: Canary, rounds: int) -> None:
    assert canary.song[:5] == (rounds, 0, 0, 0, False)


async def test_all_comes_back_and_nobody_else_sees_any_of_it(world: World, autojump_clock: object) -> None:
    spans: list[tuple[str, float]] = []
    first, second = canaries(world, lambda until, seconds: spans.append((until, seconds))).values()
    alice = Client(world.workers["w1"])
    assert "error" not in await alice.ask("hello", token="alice")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    await trio.sleep(EVERY_S * 40 + 1)
    well(first, 40)
    well(second, 0)
    assert [until for until, _ in spans] == ["acknowledged", "pushed"] * 40 or [until for until, _ in spans] == ["pushed", "acknowledged"] * 40
    assert all(0 <= seconds < 1 for _, seconds in spans)
    rooms = {row.conversation for rows in world.store.rows for row in rows if row.tenant == TENANT and row.conversation.startswith("canary-")}
    assert len(rooms) == ROOMS
    listed = await alice.ask("conversation.list")
    assert [row["conversation"]["id"] for row in listed["items"]] == ["g"]
    assert {push["c"] for push in alice.pushes if "c" in push} <= {"g", "me"}


async def test_what_it_leaves_behind_is_little(world: World, autojump_clock: object) -> None:
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * ROOMS + 1)
    kept = [row for rows in world.store.rows for row in rows if row.tenant == TENANT]
    await trio.sleep(EVERY_S * ROOMS)
    more = [row for rows in world.store.rows for row in rows if row.tenant == TENANT][len(kept):]
    well(first, ROOMS * 2)
    assert len(more) == ROOMS, "an entry a message, and nothing besides"
    assert max(len(row.data) for row in more) < 300


async def test_it_lives_on_where_workers_die_and_come(world: World, autojump_clock: object) -> None:
    first, second = canaries(world).values()
    await trio.sleep(EVERY_S * 10 + 1)
    await world.crash("w2")
    await trio.sleep(EVERY_S * 10)
    await world.start("w3")
    await trio.sleep(EVERY_S * 10)
    well(first, 30)
    well(second, 0)
    third = canaries(world)["w3"]
    await world.crash("w1")
    await trio.sleep(EVERY_S * 20)
    well(third, 20)


async def test_what_is_in_its_way_when_a_worker_dies_is_not_taken_for_lost(world: World, autojump_clock: object) -> None:
    [first, _] = canaries(world).values()
    for number in range(24):
        await trio.sleep(EVERY_S - trio.current_time() % EVERY_S)
        if number % 6 == 2:
            await world.crash("w2")
        elif number % 6 == 5:
            await world.start("w2")
    assert (first.lost, first.disordered) == (0, 0)
    assert first.rounds >= 20


async def test_each_node_has_its_own(autojump_clock: object) -> None:
    async with open_world("n1-w1", "n1-w2", "n2-w1") as world:
        made = {}
        for name, worker in world.workers.items():
            assembly, mates = worker.assembly, [one.name for one in world.of_node(worker.node)]
            made[name] = Canary(me=name, node=worker.node, every_s=EVERY_S, members=lambda mates=mates: mates, dispatch=assembly.dispatch,  # type: ignore[misc]
                                fanout=assembly.fanout, users=assembly.users, ids=world.sim.ids, unframe=lambda wire: [wire])
            world.nursery.start_soon(made[name].run)
        await trio.sleep(EVERY_S * ROOMS * 2 + 1)
        well(made["n1-w1"], ROOMS * 2)
        well(made["n1-w2"], 0)
        well(made["n2-w1"], ROOMS * 2)


async def test_a_push_that_never_comes_is_found(world: World, autojump_clock: object, monkeypatch: Patch) -> None:
    take, taken = Fanout.take, 0

    def forgetful(fanout: Fanout, key: Key, *rest: Any) -> None:
        nonlocal taken
        taken += key.tenant == TENANT
        if taken != 20:
            take(fanout, key, *rest)

    monkeypatch.setattr(Fanout, "take", forgetful)
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * 40)
    assert (first.lost, first.disordered) == (1, 0)
    assert first.failed == 0


async def test_a_push_that_comes_twice_is_found(world: World, autojump_clock: object, monkeypatch: Patch) -> None:
    what_was_passed_on_is_passed_on_again(monkeypatch)
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * ROOMS * 6)
    assert first.disordered >= ROOMS
    assert first.lost == 0


async def test_what_was_acknowledged_and_never_written_is_found(world: World, autojump_clock: object, monkeypatch: Patch) -> None:
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * ROOMS + 1)
    it_is_answered_before_it_is_durable(monkeypatch)
    weather(world).fate = Fate(None, 0.0, StorageAway("away"))
    await trio.sleep(EVERY_S * 5)
    assert first.lost >= 2
    assert first.song.silent is False, "as far as whoever sends can tell, all is well"


async def test_what_is_not_read_back_from_storage_is_found(world: World, autojump_clock: object) -> None:
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * ROOMS + 1)
    perch = first._perches["canary-one-0"]
    [seq] = perch.kept
    perch.kept[seq] = "another"  # as if it had been promised that
    await trio.sleep(EVERY_S * ROOMS)
    assert (first.lost, first.failed) == (1, 0)


async def test_where_nothing_can_be_written_it_fails_says_so_and_goes_on(world: World, autojump_clock: object) -> None:
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * 3 + 1)
    weather(world).fate = Fate(None, 0.0, StorageAway("away"))
    await trio.sleep(EVERY_S * 4)
    assert first.failed >= 2 and first.song.silent
    weather(world).fate = Fate()
    await trio.sleep(EVERY_S * 4)
    assert not first.song.silent
    assert (first.lost, first.disordered) == (0, 0)


async def test_whatever_goes_wrong_in_it_stays_in_it(world: World, autojump_clock: object, monkeypatch: Patch) -> None:
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * ROOMS + 1)
    with monkeypatch.context() as while_it_is_so:
        while_it_is_so.setattr("caas.canary.show_act", lambda op: 1 / 0)
        await trio.sleep(EVERY_S * 2)
    assert first.failed == 2
    await trio.sleep(EVERY_S * 2)
    assert first.failed == 2 and not first.song.silent


async def test_who_leaves_misses_nothing(world: World, autojump_clock: object) -> None:
    [first, _] = canaries(world).values()
    await trio.sleep(EVERY_S * 3 + 1)
    for worker in world.workers.values():
        await worker.assembly.router.unlisten_all()
    first.stop()
    await trio.sleep(EVERY_S * 10 + WITHIN_S)
    well(first, 3)
    assert len(world.workers["w1"].assembly.fanout) == 0


# What the doctor says.


def song(**changed: Any) -> list[Any]:
    return list(Song(100, 0, 0, 0, False, 0.004, 0.012)._replace(**changed))


@pytest.mark.parametrize(("answers", "verdict", "said"), [
    ({}, "skipped", "CAAS_CANARY_S"),
    ({"w1": None, "w2": None}, "skipped", "CAAS_CANARY_S"),
    ({"w1": song(), "w2": list(Song(0, 0, 0, 0, False, 0, 0))}, "good", "half were pushed within 4 ms, 99% within 12 ms"),
    ({"w1": list(Song(0, 0, 0, 0, False, 0, 0))}, "good", "not begun"),
    ({"w1": song(lost=1), "w2": song()}, "bad", "200 messages, 0 failed, 1 lost"),
    ({"w1": song(disordered=2)}, "bad", "2 twice"),
    ({"w1": song(failed=3, silent=True)}, "bad", "the last one failed"),
    ({"w1": song(failed=3)}, "good", "3 failed"),
    ({"w1": song(most_s=2.5)}, "doubtful", "2.5 s"),
])
def test_the_doctor_asks_it(answers: dict[str, Any], verdict: str, said: str, tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(node_checks, "alive", lambda folder: {"w1": 1, "w2": 2})
    monkeypatch.setattr(node_checks, "ask_workers", lambda *asked: answers)
    found = doctors(tmp_path)
    assert found.verdict == verdict and said in found.said
    assert bool(found.mend) == (verdict in ("bad", "doubtful"))


def doctors(data: Path) -> Found:
    [check] = [check for check in CHECKS if check.name == "canary"]
    return examine(check, Ground(Config(data=data)))


@pytest.mark.real
def test_a_real_node_has_one_and_tells_of_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--limits", "off", CAAS_CANARY_S="0.05") as base:
        while figure(base, "caas_canary_rounds_total") < 2 * ROOMS:
            time.sleep(0.1)
        assert figure(base, "caas_canary_lost_total") == figure(base, "caas_canary_disordered_total") == 0
        assert figure(base, 'caas_canary_seconds_count{until="pushed"}') > 0
        assert doctors(tmp_path).verdict == "good"
    with serving(tmp_path, "--limits", "off", CAAS_CANARY_S="0") as base:
        with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:
            assert b"caas_canary_rounds" not in answer.read()
        assert doctors(tmp_path).verdict == "skipped"


def figure(base: str, name: str) -> float:
    with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:
        lines = (line.rsplit(" ", 1) for line in answer.read().decode().splitlines())
        return sum(float(value) for found, value in lines if found == name)
