"""Rates over the node: two workers, one allowance; refusals that say when to come again; floods, banks that move or are away."""

from typing import Any

import pytest
import trio

from actors.connection import FLOOD, FLOOD_S, PATIENCE, REST_S
from actors.keys import Key
from actors.lending import _BANK, WITHIN_S
from actors.rates import AWAY_S
from protocol.errors import Refused
from services.rates.model import APPLICATION, READ, SEND, Policy, changed
from services.scope import Scope
from tests.actors.world import TENANT, Client, World, open_world

USUAL = Policy()


def policy(user: dict[str, tuple[float, int]] | None = None, tenant: dict[str, tuple[float, int]] | None = None) -> Policy:
    """The usual one, but for what is named: (a second, burst)."""

    def of(usual: Any, named: dict[str, tuple[float, int]]) -> Any:
        return changed(usual, {name: per_s for name, (per_s, _) in named.items()}, {name: burst for name, (_, burst) in named.items()})

    return USUAL._replace(user=of(USUAL.user, user or {}), tenant=of(USUAL.tenant, tenant or {}))


async def greeted(world: World, user: str, worker: str = "w1") -> Client:
    client = Client(world.workers[worker])
    assert "error" not in await client.ask("hello", token=user)
    return client


async def flood(client: Client, count: int, m: str = "conversation.list", **p: Any) -> list[dict[str, Any]]:
    """Say it so many times at once; the answers, in order."""
    numbers = []
    for number in range(count):
        numbers.append(client.say(m, **p))
        if number % 50 == 49:
            await trio.sleep(0.001)  # a connection's mailbox holds 64 reads
    return [await client.reply(number) for number in numbers]


def refusals(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [answer["e"] for answer in answers if "e" in answer]


def bank_of(world: World) -> str:
    """The worker that has the tenant's bank."""
    return next(iter(world.workers.values())).assembly.router.owner(Key(TENANT, _BANK))


def internal(client: Client) -> str:
    """The internal id of a client's user."""
    return str(client.worker.connections._live[f"{client.worker.name}-{client.id}"].user)


async def test_a_burst_is_let_through_whole_and_what_is_over_it_is_told_when_to_come_again(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (10, 30)})) as world:
        for worker in ("w1", "w2"):
            client = await greeted(world, "alice" if worker == "w1" else "bob", worker)
            answers = await flood(client, 40)
            assert ["e" in answer for answer in answers] == [False] * 30 + [True] * 10
            first = refusals(answers)[0]
            assert (first["code"], first["retryable"], first["limit"]) == ("too_many", True, {"name": "read", "max": 30, "got": 31})
            assert 0 < first["retry_after_ms"] <= 100
            assert client.closed_with is None
            await trio.sleep(first["retry_after_ms"] / 1000)
            assert "error" not in await client.ask("conversation.list")


async def test_it_fills_up_again_at_its_rate(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (10, 30)})) as world:
        client = await greeted(world, "alice")
        await flood(client, 31)
        for pause_s, more in ((1.0, 10), (0.5, 5), (60.0, 30)):
            await trio.sleep(pause_s)
            assert len(refusals(await flood(client, 50))) in (50 - more, 50 - more - 1)  # 20 ms pass until an empty bank is asked again


async def test_two_workers_share_one_users_allowance(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (1, 30)})) as world:
        here, there = await greeted(world, "alice", "w1"), await greeted(world, "alice", "w2")
        numbers = [(client, client.say("conversation.list")) for _ in range(30) for client in (here, there)]
        admitted = [client for client, number in numbers if "r" in await client.reply(number)]
        assert len(admitted) == 30
        assert set(map(id, admitted)) == {id(here), id(there)}


async def test_what_a_quiet_worker_holds_is_a_slice_at_most(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (0.01, 30)})) as world:
        here, there = await greeted(world, "alice", "w1"), await greeted(world, "alice", "w2")
        assert "error" not in await here.ask("conversation.list")
        assert len(refusals(await flood(there, 40))) in range(11, 17)  # 29 are left, a slice of 6 may lie at the other worker
        assert len(refusals(await flood(here, 40))) in range(34, 41)


async def test_rest_and_a_socket_share_one_allowance_but_a_secret_key_has_its_own(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (0.01, 30)})) as world:
        client = await greeted(world, "alice", "w1")
        assert len(refusals(await flood(client, 20))) == 0
        rates = world.workers["w2"].assembly.rates.of(TENANT)
        with pytest.raises(Refused, match="too_many"):
            for _ in range(30):
                await rates.admitted(internal(client), READ)
        await rates.admitted(APPLICATION, READ)


async def test_a_loud_user_takes_nothing_from_another(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (1, 30)}, {"read": (1, 80)})) as world:
        loud, quiet = await greeted(world, "alice", "w1"), await greeted(world, "bob", "w2")
        assert len(refusals(await flood(loud, 500))) == 470
        assert refusals(await flood(quiet, 25)) == []


async def test_the_tenants_ceiling_holds_for_all_together(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy(tenant={"read": (1, 50)})) as world:
        alice, bob = await greeted(world, "alice", "w1"), await greeted(world, "bob", "w2")
        answers = await flood(alice, 45) + await flood(bob, 45)
        assert 40 <= 90 - len(refusals(answers)) <= 50  # a slice of 10 may lie unused
        assert {error["limit"]["name"] for error in refusals(answers)} == {"tenant-read"}
        before = world.workers["w2"].assembly.rates.of(TENANT)._callers[READ].get(internal(bob)).left
        assert "error" in await bob.ask("conversation.list")
        assert world.workers["w2"].assembly.rates.of(TENANT)._callers[READ].get(internal(bob)).left == before


async def test_classes_do_not_touch_each_other(autojump_clock: object) -> None:
    async with open_world("w1", policy=policy({"read": (0.01, 5)})) as world:
        client = await greeted(world, "alice")
        made = await client.ask("conversation.create", type="group")
        assert len(refusals(await flood(client, 9))) == 4
        assert "error" not in await client.ask("conversation.create", type="group")
        assert (await client.ask("conversation.watch", c=made["conversation"]["id"]))["error"] == "too_many"  # watching is reading


async def test_commands_that_waited_for_the_bank_are_carried_out_in_order(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"send": (10, 30)})) as world:
        client = await greeted(world, "alice", "w1" if bank_of(world) == "w2" else "w2")  # the bank is elsewhere
        made = await client.ask("conversation.create", type="group")
        ids, after = [], {}
        for number in range(30):
            id_ = f"{1_700_000_000_000 + number:012x}"
            ids.append(f"{id_[:8]}-{id_[8:]}-7000-8000-000000000000")
        numbers = []
        for id_ in ids:
            numbers.append(client.say("message.send", c=made["conversation"]["id"], id=id_, text="x", **after))
            after = {"after": id_}
        answers = [await client.reply(number) for number in numbers]
        assert [answer["r"]["seq"] for answer in answers] == list(range(2, 32))


async def test_a_batch_counts_each_of_its_commands_and_so_does_a_repeat(autojump_clock: object) -> None:
    async with open_world("w1", policy=policy({"send": (0.01, 5)})) as world:
        client = await greeted(world, "alice")
        made = await client.ask("conversation.create", type="group")
        id_ = "018bcfe5-6800-7000-8000-000000000000"
        answers = await flood(client, 7, "message.send", c=made["conversation"]["id"], id=id_, text="x")
        assert ["r" in answer for answer in answers] == [True] * 5 + [False] * 2
        assert [answer["r"].get("duplicate") for answer in answers[:5]] == [None] + [True] * 4


async def test_bad_and_unknown_commands_count_too(autojump_clock: object) -> None:
    async with open_world("w1", policy=policy({"read": (0.01, 5)})) as world:
        client = await greeted(world, "alice")
        assert [error["code"] for error in refusals(await flood(client, 7, "no.such"))] == ["unknown_command"] * 5 + ["too_many"] * 2


async def test_only_who_goes_on_and_on_is_closed(autojump_clock: object) -> None:
    async with open_world("w1", policy=policy({"read": (1, 5)})) as world:
        patient, deaf = await greeted(world, "alice"), await greeted(world, "bob")
        for _ in range(40):
            assert len(await flood(patient, FLOOD // 20)) == FLOOD // 20
            await trio.sleep(1)
        assert patient.closed_with is None
        for _ in range(FLOOD + 10):
            deaf.say("conversation.list")
            await trio.sleep(0)
        await trio.sleep(1)
        assert deaf.closed_with == 4429


async def test_who_is_refused_again_and_again_is_read_only_now_and_then(autojump_clock: object) -> None:
    async with open_world("w1", policy=policy({"read": (1, 5)})) as world:
        hasty, other = await greeted(world, "alice"), await greeted(world, "bob")
        assert len(refusals(await flood(hasty, 5 + PATIENCE))) == PATIENCE
        assert not hasty.paused
        for _ in range(3):
            assert len(refusals(await flood(hasty, 10))) == 10, "what was read already is answered"
            assert hasty.paused
            assert not other.paused
            await trio.sleep(2 * REST_S)
            assert not hasty.paused
        await trio.sleep(FLOOD_S)
        assert [len(refusals(await flood(hasty, 1))), hasty.paused] == [0, False]


async def test_hello_has_a_class_of_its_own(autojump_clock: object) -> None:
    async with open_world("w1", policy=policy({"connects": (0.1, 3)})) as world:
        for _ in range(3):
            (await greeted(world, "alice")).drop()
        over = Client(world.workers["w1"])
        assert (await over.ask("hello", token="alice"))["error"] == "too_many"
        assert over.closed_with == 4429
        await trio.sleep(10)
        await greeted(world, "alice")


async def test_a_bank_that_moves_begins_full_and_nothing_else_is_given_away(autojump_clock: object) -> None:
    async with open_world("w1", "w2", "w3", policy=policy({"read": (0.01, 30)})) as world:
        owner = bank_of(world)
        stays = next(name for name in world.workers if name != owner)
        client = await greeted(world, "alice", stays)
        assert len(refusals(await flood(client, 40))) == 10
        await world.crash(owner)
        assert bank_of(world) != owner
        await trio.sleep(100)  # one token flows in
        assert 29 <= 40 - len(refusals(await flood(client, 40))) <= 31
        assert len(refusals(await flood(client, 40))) == 40


async def test_while_a_bank_is_away_each_worker_limits_by_itself(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (10, 30)})) as world:
        owner = bank_of(world)
        client = await greeted(world, "alice", "w1" if owner == "w2" else "w2")
        gone = world.workers.pop(owner)  # nobody has told the ring yet
        try:
            assert len(refusals(await flood(client, 40))) in range(5, 11)  # what was borrowed before is used as well
            await trio.sleep(AWAY_S / 2)
            assert len(refusals(await flood(client, 40))) >= 34
        finally:
            world.workers[owner] = gone
        await trio.sleep(AWAY_S)
        assert "error" not in await client.ask("conversation.list")


async def test_a_bank_that_does_not_answer_holds_nobody_up_for_long(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"read": (10, 30)})) as world:
        owner = bank_of(world)
        client = await greeted(world, "alice", "w1" if owner == "w2" else "w2")
        links = client.worker.assembly.lending._links

        class Silent:
            """The other worker is stopped; the link gives up in its time."""

            def post(self, worker: str, message: object, reply: Any, timeout: float = 10.0) -> None:
                async def give_up() -> None:
                    await trio.sleep(timeout)
                    reply(None, Refused("timeout"))

                world.nursery.start_soon(give_up)

        client.worker.assembly.lending._links = Silent()
        began = trio.current_time()
        assert len(refusals(await flood(client, 10))) == 0
        assert trio.current_time() - began <= 2 * WITHIN_S
        client.worker.assembly.lending._links = links


async def test_without_limits_nobody_is_held_back(autojump_clock: object) -> None:
    async with open_world("w1") as world:
        client = await greeted(world, "alice")
        assert refusals(await flood(client, 900)) == []
        assert await client.ask("limits.get") == {"enforced": False, "caller": {}, "tenant": {}}


async def test_what_is_left_is_told(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=policy({"send": (10, 30)})) as world:
        for worker, user in (("w1", "alice"), ("w2", "bob")):
            client = await greeted(world, user, worker)
            made = await client.ask("conversation.create", type="group")
            await flood(client, 12, "message.send", c=made["conversation"]["id"], id="018bcfe5-6800-7000-8000-000000000000", text="x")
            told = await client.ask("limits.get")
            assert told["enforced"] is True
            assert told["caller"]["send"] == {"per_s": 10, "burst": 30, "used": 12, "remaining": 18}
            assert told["tenant"]["send"]["burst"] == 3_000
            left = client.worker.assembly.rates.of(TENANT).left(internal(client), SEND)
            assert (left.name, left.remaining) == ("send", 18)
        assert (await world.workers["w1"].assembly.lending.levels(Scope(TENANT, by_key=True)))[0] == [500] * 6


async def test_over_nodes_an_allowance_is_little_more_than_on_one(autojump_clock: object) -> None:
    """Whoever spreads over three nodes: a burst each, once; in the long run a tenth more than is allowed."""
    async with open_world("n1-w1", "n1-w2", "n2-w1", "n3-w1", policy=policy({"read": (10, 30)})) as world:
        clients = [await greeted(world, "alice", worker) for worker in sorted(world.workers)]
        answered = [await flood(client, 60) for client in clients]
        first = sum(len(answers) - len(refusals(answers)) for answers in answered)
        assert 3 * 30 <= first <= 3 * 30 + 6
        passed, began = 0, trio.current_time()
        while trio.current_time() - began < 300:
            for client in clients:
                answers = await flood(client, 10)
                passed += len(answers) - len(refusals(answers))
            await trio.sleep(0.5)
        assert 300 * 10 * 0.9 <= passed <= 11 * 330, "of the windows of 30 s two are not whole"


async def test_who_stays_on_one_node_never_meets_the_others(autojump_clock: object) -> None:
    async with open_world("n1-w1", "n2-w1", policy=policy({"read": (10, 30)})) as world:
        alice = await greeted(world, "alice", "n1-w1")
        for _ in range(5):
            assert 4 <= len(refusals(await flood(alice, 40))) <= 10, "a whole burst, after each pause, and what was borrowed and not used"
            for _ in range(20):
                await trio.sleep(0.11)
                assert refusals(await flood(alice, 1)) == []
            await trio.sleep(3.2)


async def test_without_counters_each_node_has_its_own_limits(autojump_clock: object) -> None:
    async with open_world("n1-w1", "n2-w1", policy=policy({"read": (10, 30)})) as world:
        clients = [await greeted(world, "alice", worker) for worker in ("n1-w1", "n2-w1")]
        for worker in world.workers.values():
            worker.assembly.backend.counters.away = True  # type: ignore[attr-defined]
        for client in clients:
            assert len(refusals(await flood(client, 100))) >= 65
        await trio.sleep(10)
        for client in clients:
            assert 25 <= 100 - len(refusals(await flood(client, 100))) <= 37
