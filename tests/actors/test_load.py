"""Too much to do: what a worker takes on is bounded by what it answers, the rest is refused at once with a code, and nothing is lost by it."""

from collections.abc import AsyncIterator
from math import inf

import pytest
import trio

from actors.load import BEAT_S, LEAST, REST_S, SURE_AFTER, WITHIN_S, Load, Spare
from protocol.errors import Refused
from services.scope import Scope
from tests.actors.world import TENANT, Client, World, new_id, open_world


def beats(load: Load, count: int, answered: int, *, spare_s: float = 0.0) -> None:
    for _ in range(count):
        for _ in range(answered):
            load.entered()
            load.left()
        load.beat(BEAT_S, spare_s)


def test_while_there_is_time_everything_is_taken_on() -> None:
    load = Load()
    for _ in range(100_000):
        load.entered()
    beats(load, 100, 0, spare_s=BEAT_S * 0.1)
    assert load.admits(TENANT)
    assert load.rest_s() == 0


def test_a_burst_is_not_too_much_and_what_lasts_is() -> None:
    load = Load()
    beats(load, SURE_AFTER - 1, 100)
    beats(load, 1, 100, spare_s=BEAT_S)
    beats(load, SURE_AFTER - 1, 100)
    assert load.most == inf
    beats(load, 1, 100)
    assert load.most == pytest.approx(100 / BEAT_S * WITHIN_S)


def test_what_was_answered_while_there_was_time_does_not_count() -> None:
    load = Load()
    beats(load, 100, 1, spare_s=BEAT_S)
    beats(load, SURE_AFTER, 100)
    assert load.most == pytest.approx(100 / BEAT_S * WITHIN_S)


def test_answers_that_come_in_groups_count_as_what_they_are_on_average() -> None:
    load = Load()
    for _ in range(50):
        beats(load, 1, 400)
        beats(load, 1, 0)
        assert load.most == inf or load.most == pytest.approx(200 / BEAT_S * WITHIN_S, rel=0.5)


def test_sockets_are_left_to_gather_while_there_is_nearly_too_much_and_not_while_the_loop_is_merely_busy() -> None:
    load = Load()
    beats(load, 50, 200)
    for _ in range(int(load.most) // 2):
        load.entered()
    assert load.rest_s() == 0
    load.entered()
    assert load.rest_s() == REST_S


def test_no_more_is_under_way_than_is_answered_soon_and_never_less_than_little() -> None:
    load = Load()
    beats(load, 50, 200)
    assert load.most == pytest.approx(200 / BEAT_S * WITHIN_S)
    beats(load, 50, 1)
    assert load.most == LEAST
    for _ in range(LEAST):
        assert load.admits(TENANT)
        load.entered(TENANT)
    assert not load.admits(TENANT)
    assert load.refused == 1
    load.left(TENANT)
    assert load.admits(TENANT)


def test_a_tenant_with_less_than_its_share_is_not_refused_for_another() -> None:
    load = Load()
    beats(load, 50, 1)
    for _ in range(LEAST):
        load.entered("loud")
    assert not load.admits("loud")
    for _ in range(LEAST // 2):
        assert load.admits("quiet")
        load.entered("quiet")
    assert not load.admits("quiet"), "it is loud itself now"
    assert load.refused == 2
    for _ in range(LEAST):
        load.left("loud")
    assert load.admits("loud")


def test_who_is_alone_has_no_share_beside_the_bound() -> None:
    load = Load()
    beats(load, 50, 1)
    for _ in range(LEAST):
        load.entered()
    assert not load.admits("quiet"), "what is too much is its own reading"


def test_what_is_dropped_takes_its_tenant_along() -> None:
    load = Load()
    beats(load, 50, 1)
    for _ in range(LEAST):
        load.entered("loud")
    load.dropped(LEAST, LEAST, "loud")
    assert load.under_way == 0
    assert not load._acts
    for _ in range(LEAST):
        load.entered()
    assert not load.admits("quiet"), "nobody else is there any more"


def test_when_it_is_over_everything_is_taken_on_again_within_seconds() -> None:
    load = Load()
    beats(load, 50, 1)
    beats(load, int(2 / BEAT_S), 1, spare_s=BEAT_S)
    assert load.most == inf


def test_the_spare_time_is_what_the_loop_waited_with_nothing_to_do() -> None:
    now = 10.0
    spare = Spare(lambda: now)
    spare.before_io_wait(0.5)
    now = 10.25
    spare.after_io_wait(0.5)
    spare.before_io_wait(0)
    now = 12.0
    spare.after_io_wait(0)
    assert spare.taken() == 0.25
    assert spare.taken() == 0


async def test_it_beats_by_itself_and_lets_go_of_the_loop(autojump_clock: object) -> None:
    load = Load()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run, Spare(lambda: 0.0), trio.current_time)
        await trio.sleep(BEAT_S * (SURE_AFTER + 1))
        assert load.most == LEAST, "the loop never waited by that clock"
        nursery.cancel_scope.cancel()


@pytest.fixture
async def world(autojump_clock: object) -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def talking(world: World) -> Client:
    alice = Client(world.workers["w1"])
    assert "error" not in await alice.ask("hello", token="alice")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    await alice.ask("conversation.watch", c="g")
    return alice


def bounded(world: World, most: float) -> Load:
    load = world.workers["w1"].assembly.load
    load._most = most
    return load


async def test_what_is_too_much_is_refused_with_a_code_and_comes_later_under_the_same_id(world: World, autojump_clock: object) -> None:
    alice = await talking(world)
    load = bounded(world, 10)
    ids = [new_id(world) for _ in range(50)]
    answers = [await alice.reply(i) for i in [alice.say("message.send", c="g", id=id, text=id) for id in ids]]
    refused = [answer["e"] for answer in answers if "e" in answer]
    assert len(refused) == load.refused == 40
    assert {(one["code"], one["retryable"], one["retry_after_ms"]) for one in refused} == {("unavailable", True, 1_000)}
    bounded(world, inf)
    again = [await alice.ask("message.send", c="g", id=id, text=id) for id in ids]
    assert [answer.get("duplicate", False) for answer in again] == ["r" in answer for answer in answers]
    assert sorted(push["p"]["id"] for push in alice.got("message.new", "g")) == sorted(ids)
    assert load.under_way == 0
    assert not load._acts


async def test_reading_goes_on(world: World, autojump_clock: object) -> None:
    alice = await talking(world)
    bounded(world, 0)
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="hi"))["error"] == "unavailable"
    for m, p in (("conversation.list", {}), ("message.list", {"c": "g"}), ("conversation.sync", {"c": "g", "after": 0}),
                 ("message.read", {"c": "g", "seq": 1})):
        assert "error" not in await alice.ask(m, **p)


async def test_the_same_over_rest(world: World, autojump_clock: object) -> None:
    await talking(world)
    await trio.sleep(1)
    load, dispatch = bounded(world, 0), world.workers["w1"].assembly.dispatch
    scope = Scope(TENANT, world.internal["alice"], "alice")
    with pytest.raises(Refused) as refused:
        await dispatch.call(scope, dispatch.table["message.send"], {"c": "g", "id": new_id(world), "text": "hi"})
    assert (refused.value.code, refused.value.status) == ("unavailable", 503)
    assert (await dispatch.call(scope, dispatch.table["conversation.list"], {}))["items"]
    assert load.under_way == 0
    assert not load._acts


async def test_what_nobody_waits_for_any_more_is_not_counted_for_ever(world: World, autojump_clock: object) -> None:
    alice = await talking(world)
    load = bounded(world, inf)
    for _ in range(20):
        alice.say("conversation.sync", c="g", after=0)
        alice.say("message.send", c="g", id=new_id(world), text="hi")
    alice.drop()
    await trio.sleep(30)
    assert load.under_way == 0
    assert not load._acts
