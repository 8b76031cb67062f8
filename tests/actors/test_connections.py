"""What a client may rely on, over two workers: hello and resume, order, watching, closing."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio

from services.rates.model import Policy
from storage.ports.errors import OutcomeUnknown, StorageAway
from tests.actors.world import T0, Client, World, new_id, open_world

pack = msgspec.msgpack.encode


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def greeted(world: World, name: str, worker: str = "w1", **hello: Any) -> Client:
    client = Client(world.workers[worker])
    client.greeting = await client.ask("hello", token=name, **hello)  # type: ignore[attr-defined]
    return client


async def group(world: World, *, name: str = "g", said: int = 0) -> Client:
    alice = await greeted(world, "alice")
    await alice.ask("conversation.create", type="group", id=name, members=["bob"])
    for n in range(said):
        await alice.ask("message.send", c=name, id=new_id(world), text=str(n))
    return alice


async def test_hello_tells_who_and_what(world: World, autojump_clock: object) -> None:
    told = (await greeted(world, "alice")).greeting  # type: ignore[attr-defined]
    assert (told["protocol"], told["heartbeat_s"], told["user"], told["conversations"]) == ("caas.v1", 15, {"id": "alice"}, {})
    assert told["me"] == {"head": 0, "epoch": 1, "read": {}, "delivered": {}}
    assert told["limits"]["frame"] == 65536


async def test_commands_may_follow_hello_without_waiting(world: World, autojump_clock: object) -> None:
    client = Client(world.workers["w1"])
    hello, made = client.say("hello", token="alice"), client.say("conversation.create", type="group", id="g")
    assert "r" in await client.reply(hello)
    assert (await client.reply(made))["r"]["conversation"]["id"] == "g"


async def test_any_other_command_first_is_refused_and_closed(world: World, autojump_clock: object) -> None:
    client = Client(world.workers["w1"])
    assert (await client.ask("conversation.list"))["error"] == "not_authenticated"
    assert client.closed_with == 4501


async def test_five_seconds_without_hello(world: World, autojump_clock: object) -> None:
    client = Client(world.workers["w1"])
    await trio.sleep(4.5)
    assert client.closed_with is None
    await trio.sleep(1.5)
    assert client.closed_with == 4501


async def test_a_bad_token_is_answered_and_closed(world: World, autojump_clock: object) -> None:
    client = Client(world.workers["w1"])
    assert (await client.ask("hello", token="mallory"))["error"] == "token_invalid"
    assert client.closed_with == 4502


async def test_a_second_hello(world: World, autojump_clock: object) -> None:
    client = await greeted(world, "alice")
    assert (await client.ask("hello", token="alice"))["error"] == "bad_request"
    assert client.closed_with is None


@pytest.mark.parametrize("payload", [b"", b"\xc1", pack([]), pack([{"m": "x"}] * 65), pack(7), pack([{"m": "x"}, 7]), pack({"i": 1}),
                                     pack({"i": True, "m": "x"}), pack({"i": 0, "m": "x"}), pack({"i": 2**32, "m": "x"})])
async def test_what_is_no_frame_closes(world: World, autojump_clock: object, payload: bytes) -> None:
    client = await greeted(world, "alice")
    world.workers["w1"].connections.messages(client, [(2, payload)])
    await trio.sleep(1)
    assert client.closed_with == 4500


async def test_an_i_that_is_not_answered_yet_closes_and_nothing_takes_effect(world: World, autojump_clock: object) -> None:
    client = await group(world)
    twice = [{"i": 90, "m": "message.send", "p": {"c": "g", "id": new_id(world), "text": "x"}}] * 2
    world.workers["w1"].connections.messages(client, [(2, pack(twice))])
    await trio.sleep(1)
    assert client.closed_with == 4500
    bob = await greeted(world, "bob")
    assert (await bob.ask("message.list", c="g"))["items"] == []


async def test_text_on_a_binary_connection_closes(world: World, autojump_clock: object) -> None:
    client = await greeted(world, "alice")
    world.workers["w1"].connections.messages(client, [(1, b"{}")])
    await trio.sleep(1)
    assert client.closed_with == 4500


async def test_one_of_a_batch_failing_does_not_touch_the_others(world: World, autojump_clock: object) -> None:
    client = await group(world)
    batch = [{"i": 91, "m": "nonsense"}, {"i": 92, "m": "conversation.get", "p": {"c": "g"}}, {"m": "nonsense"}]
    world.workers["w1"].connections.messages(client, [(2, pack(batch))])
    assert (await client.reply(91))["e"]["code"] == "unknown_command"
    assert (await client.reply(92))["r"]["role"] == "owner"


async def test_commands_take_effect_in_the_order_sent(world: World, autojump_clock: object) -> None:
    client = await group(world)
    numbers = []
    for n in range(5):
        numbers.append(client.say("message.send", c="g", id=new_id(world), text=str(n)))
        numbers.append(client.say("message.list", c="g"))
    answers = [(await client.reply(i))["r"] for i in numbers]
    assert [len(answer["items"]) for answer in answers[1::2]] == [1, 2, 3, 4, 5]


async def test_resume_gives_what_was_missed_once_and_in_order(world: World, autojump_clock: object) -> None:
    alice = await group(world, said=3)
    bob = await greeted(world, "bob", "w2")
    await bob.ask("conversation.watch", c="g")
    bob.drop()
    for n in range(450):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(n))
    back = await greeted(world, "bob", "w2", resume={"g": {"seq": 4, "epoch": 1}, "me": {"seq": 0, "epoch": 1}, "none": {"seq": 1, "epoch": 1}})
    told = back.greeting["conversations"]  # type: ignore[attr-defined]
    assert (told["g"]["from"], told["g"]["to"], told["none"]) == (5, 454, {"error": "not_found"})
    await alice.ask("message.send", c="g", id=new_id(world), text="live")
    await back.until(lambda client: len(client.got("message.new", "g")) == 451 and client.got("conversation.joined"))
    assert [push["s"] for push in back.got("message.new", "g")] == list(range(5, 456))
    assert [push["t"] for push in back.got("conversation.joined")] == ["conversation.joined"]


async def test_what_was_missed_follows_the_greeting_at_once_where_it_is_kept(world: World, autojump_clock: object) -> None:
    alice = await group(world)
    assert (await alice.ask("member.add", c="g", users=["carol"]))["seq"] == 2
    bob, carol = await greeted(world, "bob", "w2"), await greeted(world, "carol", "w2")
    for client in (bob, carol):
        await client.ask("conversation.watch", c="g")
    bob.drop()
    for n in range(30):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(n))
    await carol.until(lambda client: len(client.got("message.new")) == 30)
    carol.worker.assembly.history.after = None  # type: ignore[method-assign,assignment]  # nothing is read
    back = await greeted(world, "bob", "w2", resume={"g": {"seq": 2, "epoch": 1}})
    assert back.frames[0]["r"]["conversations"]["g"]["to"] == 32
    assert back.frames[1:31] == carol.got("message.new"), "the same, behind the reply"
    await alice.ask("message.send", c="g", id=new_id(world), text="live")
    await back.until(lambda client: len(client.got("message.new")) == 31)
    assert [push["s"] for push in back.got("message.new")] == list(range(3, 34))


async def test_what_was_deleted_meanwhile_is_not_told_from_what_is_kept(world: World, autojump_clock: object) -> None:
    alice = await group(world)
    assert (await alice.ask("member.add", c="g", users=["carol"]))["seq"] == 2
    bob, carol = await greeted(world, "bob", "w2"), await greeted(world, "carol", "w2")
    for client in (bob, carol):
        await client.ask("conversation.watch", c="g")
    bob.drop()
    for text in ("kept", "secret"):
        await alice.ask("message.send", c="g", id=(last := new_id(world)), text=text)
    await alice.ask("message.delete", c="g", id=last, **{"for": "all"})
    await carol.until(lambda client: len(client.got("message.deleted")) == 1)
    back = await greeted(world, "bob", "w2", resume={"g": {"seq": 1, "epoch": 1}})
    await back.until(lambda client: len(client.got("message.deleted")) == 1)
    assert [push["p"].get("text") for push in back.got("message.new")] == ["kept", None]
    third = await greeted(world, "bob", "w2", resume={"g": {"seq": 1, "epoch": 1}})
    await third.until(lambda client: len(client.got("message.deleted")) == 1)
    assert third.got("message.new") == back.got("message.new")


async def test_all_who_come_back_to_a_conversation_that_nobody_followed_are_told_by_one_read(world: World, autojump_clock: object) -> None:
    alice = await group(world)
    for n in range(250):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(n))
    await trio.sleep(2)  # it is stored
    worker, reads = world.workers["w2"], list[int]()
    entries = worker.assembly.log.entries

    async def counted(scope: Any, conversation: str, after: int, *rest: Any, **more: Any) -> Any:
        if conversation == "g":
            reads.append(after)
        return await entries(scope, conversation, after, *rest, **more)

    worker.assembly.log.entries = counted  # type: ignore[method-assign]
    back = [Client(worker) for _ in range(8)]
    for client in back:
        client.say("hello", token="bob", resume={"g": {"seq": 1, "epoch": 1}})
    for client in back:
        await client.until(lambda client: len(client.got("message.new")) == 250)
        assert [push["s"] for push in client.got("message.new")] == list(range(2, 252))
    assert reads == [1, 201], "each page once, however many come"


async def test_a_sync_says_the_same_from_what_is_kept_as_from_storage(world: World, autojump_clock: object) -> None:
    alice = await group(world, said=5)
    bob, twin = await greeted(world, "bob", "w2"), world.workers["w2"].assembly
    await bob.ask("conversation.watch", c="g")
    for n in range(20):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(n))
    await bob.until(lambda client: len(client.got("message.new")) == 20)
    kept = [await bob.ask("conversation.sync", c="g", after=after, limit=limit) for after, limit in ((6, 5), (6, 500), (25, 5), (26, 5))]
    twin.ready.clear()
    read = [await bob.ask("conversation.sync", c="g", after=after, limit=limit) for after, limit in ((6, 5), (6, 500), (25, 5), (26, 5))]
    assert kept == read
    assert [len(page["entries"]) for page in kept] == [5, 20, 1, 0]
    assert [page["more"] for page in kept] == [True, False, False, False]


async def test_a_sync_is_not_served_from_what_a_deletion_has_overtaken(world: World, autojump_clock: object) -> None:
    alice = await group(world)
    bob = await greeted(world, "bob", "w2")
    await bob.ask("conversation.watch", c="g")
    await alice.ask("message.send", c="g", id=(last := new_id(world)), text="secret")
    await bob.until(lambda client: len(client.got("message.new")) == 1)
    world.workers["w2"].assembly.fanout.take = lambda *push: None  # type: ignore[method-assign]  # what comes next is not heard here
    await alice.ask("message.delete", c="g", id=last, **{"for": "all"})
    synced = await bob.ask("conversation.sync", c="g", after=1)
    assert ["text" in entry["p"] for entry in synced["entries"] if entry["t"] == "message.new"] == [False]


async def test_resume_with_another_epoch_is_a_gap(world: World, autojump_clock: object) -> None:
    await group(world, said=2)
    back = await greeted(world, "bob", resume={"g": {"seq": 1, "epoch": 99}})
    assert back.greeting["conversations"]["g"]["gap"] == {"from": 1, "to": 3}  # type: ignore[attr-defined]
    await trio.sleep(1)
    assert back.got("message.new") == []


async def test_watching_again_replays_nothing_and_unwatch_ends_it(world: World, autojump_clock: object) -> None:
    alice = await group(world, said=2)
    bob = await greeted(world, "bob", "w2")
    assert (await bob.ask("conversation.watch", c="g", after=1))["to"] == 3
    await bob.until(lambda client: len(client.pushes) >= 2)
    again = await bob.ask("conversation.watch", c="g", after=0)
    assert "from" not in again
    await bob.ask("conversation.unwatch", c="g")
    await alice.ask("message.send", c="g", id=new_id(world), text="unheard")
    await trio.sleep(2)
    assert [push["s"] for push in bob.got("message.new", "g")] == [2, 3]


async def test_the_removal_is_the_last_thing_one_hears(world: World, autojump_clock: object) -> None:
    alice = await group(world)
    bob = await greeted(world, "bob", "w2")
    await bob.ask("conversation.watch", c="g")
    await alice.ask("member.remove", c="g", user="bob")
    await alice.ask("message.send", c="g", id=new_id(world), text="among us")
    await trio.sleep(2)
    assert [push["t"] for push in bob.pushes if push.get("c") == "g"] == ["member.removed"]
    assert (await bob.ask("conversation.watch", c="g"))["error"] == "not_found"
    assert [push["p"]["conversation"] for push in bob.got("conversation.left", "me")] == ["g"]


async def test_heads_come_every_25_seconds(world: World, autojump_clock: object) -> None:
    alice = await group(world)
    await alice.ask("conversation.watch", c="g")
    await alice.ask("message.send", c="g", id=new_id(world), text="x")
    await trio.sleep(51)
    heads = alice.got("heads")
    assert len(heads) == 2
    assert heads[0]["p"]["conversations"]["g"] == 2
    assert heads[1]["p"] == {"epoch": 1, "conversations": {}}


async def test_an_expired_token_closes_and_a_refreshed_one_does_not(world: World, autojump_clock: object) -> None:
    stale, fresh = await greeted(world, "alice"), await greeted(world, "alice")
    for client in (stale, fresh):
        ref = client.state
        connection = world.workers["w1"].connections._live[f"w1-{client.id}"]
        connection.expires_at = T0 + 60_000
        assert ref is not None
    assert (await fresh.ask("token.refresh", token="alice"))["expires_at"] > T0 + 60_000
    assert (await fresh.ask("token.refresh", token="bob"))["error"] == "token_invalid"
    await trio.sleep(70)
    assert (stale.closed_with, fresh.closed_with) == (4401, None)


async def test_a_revoked_session_is_told_and_closed(world: World, autojump_clock: object) -> None:
    client = await greeted(world, "alice")
    world.workers["w1"].connections.revoke(lambda scope: scope.session == "s-alice", "revoked")
    await trio.sleep(0.1)
    assert client.pushes[-1] == {"t": "session.revoked", "p": {"reason": "revoked"}}
    assert client.closed_with == 4503


async def test_a_user_has_ten_connections_and_no_more(autojump_clock: object) -> None:
    async with open_world("w1", "w2", policy=Policy()) as world:
        clients = [await greeted(world, "alice") for _ in range(10)]
        eleventh = Client(world.workers["w1"])
        assert (await eleventh.ask("hello", token="alice"))["error"] == "too_many"
        assert eleventh.closed_with == 4429
        clients[0].drop()
        await trio.sleep(1)
        assert "error" not in (await greeted(world, "alice")).greeting  # type: ignore[attr-defined]


@pytest.mark.parametrize(("p", "code", "field"), [
    ({"text": "x" * 16_385}, "too_large", "text"),
    ({"text": "é" * 8_193}, "too_large", "text"),
    ({"custom": {"a": "x" * 4_096}}, "too_large", "custom"),
    ({"attachments": [{"kind": "file", "url": "u"}] * 31}, "too_large", "attachments"),
    ({"text": "x", "mentions": ["bob"] * 101}, "too_large", "mentions"),
    ({"text": "x", "mentions": ["nobody"]}, "not_found", "mentions.0"),
    ({"text": 7}, "bad_request", "text"),
    ({"text": None}, "bad_request", "text"),
    ({"text": "x", "silent": 1}, "bad_request", "silent"),
    ({"text": "x", "type": "system"}, "forbidden", "type"),
    ({"text": "x", "id": "0199c0ff-ee00-4000-8000-000000000000"}, "bad_request", "id"),
    ({"text": "x", "id": "01F00000-0000-7000-8000-000000000000"}, "bad_request", "id"),
    ({"text": "x", "id": "0fffffff-0000-7000-8000-000000000000"}, "id_in_future", "id"),
    ({"text": "x", "c": "no/such"}, "bad_request", "c"),
    ({"text": "x", "c": "stranger"}, "not_found", None),
    ({}, "bad_request", "text"),
])
async def test_a_message_that_cannot_be_is_refused_with_its_field(world: World, autojump_clock: object, p: dict[str, Any], code: str,
                                                                  field: str | None) -> None:
    alice = await group(world)
    answer = await alice.ask("message.send", **{"c": "g", "id": new_id(world), **p})
    assert (answer["error"], answer.get("field")) == (code, field)


async def test_a_direct_conversation_is_of_two_and_always_the_same(world: World, autojump_clock: object) -> None:
    alice, bob = await greeted(world, "alice"), await greeted(world, "bob", "w2")
    made = (await alice.ask("conversation.create", type="direct", members=["bob"]))["conversation"]
    assert (await bob.ask("conversation.create", type="direct", members=["alice", "bob"]))["conversation"]["id"] == made["id"]
    for p in ({"members": ["bob", "carol"]}, {"members": []}, {"members": ["bob"], "name": "x"}, {"members": ["bob"], "id": "x"}):
        assert (await alice.ask("conversation.create", type="direct", **p))["error"] == "bad_request"
    assert (await alice.ask("member.add", c=made["id"], users=["carol"]))["error"] == "forbidden"
    assert (await alice.ask("conversation.get", c=made["id"]))["role"] == "owner"


async def test_an_id_that_exists_is_for_its_members_alone(world: World, autojump_clock: object) -> None:
    await group(world)
    bob, carol = await greeted(world, "bob"), await greeted(world, "carol")
    assert (await bob.ask("conversation.create", type="group", id="g"))["conversation"]["member_count"] == 2
    assert (await carol.ask("conversation.create", type="group", id="g"))["error"] == "id_conflict"
    for m in ("conversation.get", "conversation.watch", "message.list", "member.list"):
        assert (await carol.ask(m, c="g"))["error"] == "not_found"


async def test_lists_are_paged_latest_first(world: World, autojump_clock: object) -> None:
    alice = await greeted(world, "alice")
    for n in range(7):
        await alice.ask("conversation.create", type="group", id=f"g{n}", members=["bob"])
        await trio.sleep(0.1)
    await alice.ask("message.send", c="g2", id=new_id(world), text="newest")
    await trio.sleep(1)
    bob = await greeted(world, "bob")
    first = await bob.ask("conversation.list", limit=4)
    rest = await bob.ask("conversation.list", limit=4, cursor=first["next"])
    assert [item["conversation"]["id"] for item in first["items"] + rest["items"]] == ["g2", "g6", "g5", "g4", "g3", "g1", "g0"]
    assert (first["items"][0]["unread"], first["items"][0]["last_message"]["text"]) == (1, "newest")
    assert "next" not in rest


async def test_messages_are_paged_both_ways(world: World, autojump_clock: object) -> None:
    alice = await group(world, said=10)
    latest = await alice.ask("message.list", c="g", limit=4)
    assert ([item["seq"] for item in latest["items"]], latest["prev"], "next" in latest) == ([8, 9, 10, 11], 8, False)
    earlier = await alice.ask("message.list", c="g", limit=4, before=latest["prev"])
    assert [item["seq"] for item in earlier["items"]] == [4, 5, 6, 7]
    first = await alice.ask("message.list", c="g", limit=4, after=0)
    assert ([item["seq"] for item in first["items"]], first["next"], "prev" in first) == ([2, 3, 4, 5], 5, False)
    middle = await alice.ask("message.list", c="g", limit=5, around=6)
    assert [item["seq"] for item in middle["items"]] == [4, 5, 6, 7, 8]


async def test_commands_that_want_no_answer_are_bounded_as_well(world: World, autojump_clock: object) -> None:
    alice = await group(world)
    silent = pack([{"m": "conversation.get", "p": {"c": "g"}}] * 64)
    alice.worker.connections.messages(alice, [(2, silent)] * 40)
    refused = await alice.ask("conversation.get", c="g")
    assert (refused["error"], refused["limit"]) == ("too_many", {"name": "unanswered", "max": 2_048, "got": 2_049})
    assert alice.paused
    await trio.sleep(5)
    assert not alice.paused
    assert (await alice.ask("conversation.get", c="g"))["role"] == "owner"


async def test_an_answer_that_cannot_be_made_does_not_block_what_comes_behind_it(world: World, autojump_clock: object,
                                                                                 caplog: pytest.LogCaptureFixture) -> None:
    alice = await group(world, said=1)
    assembly = alice.worker.assembly
    row = assembly.table["conversation.get"]

    async def broken(scope: object, params: object) -> Any:
        def answer() -> Any:
            raise RuntimeError("a bug in the making of an answer")

        return answer

    assembly.table["conversation.get"] = msgspec.structs.replace(row, call=broken)
    alice.say("conversation.get", c="g")
    behind = alice.say("conversation.sync", c="g", after=0)
    assert len((await alice.reply(behind))["r"]["entries"]) == 2
    assert "a bug in the making of an answer" in caplog.text


FAILURES = [(StorageAway("away"), "unavailable"), (OutcomeUnknown("?"), "timeout"), (trio.TooSlowError(), "timeout"),
            (RuntimeError("a bug"), "internal")]


@pytest.mark.parametrize(("failure", "code"), FAILURES, ids=[code for _, code in FAILURES])
async def test_what_fails_under_a_command_is_told_by_its_code(world: World, autojump_clock: object, failure: Exception, code: str) -> None:
    alice = await group(world)

    async def failing(scope: object, params: object) -> Any:
        raise failure

    table = alice.worker.assembly.table
    table["conversation.get"] = msgspec.structs.replace(table["conversation.get"], call=failing)
    refused = await alice.ask("conversation.get", c="g")
    assert (refused["error"], refused["retryable"]) == (code, code != "internal")


@pytest.mark.parametrize(("failure", "code"), FAILURES, ids=[code for _, code in FAILURES])
async def test_a_hello_that_we_fail_lets_the_client_come_again(world: World, autojump_clock: object, failure: Exception, code: str) -> None:
    client = Client(world.workers["w1"])

    async def failing(token: str) -> Any:
        raise failure

    client.worker.connections._desk.greeter.authenticate = failing
    assert (await client.ask("hello", token="alice"))["error"] == code
    assert client.closed_with == (1011 if code == "internal" else 4400)
