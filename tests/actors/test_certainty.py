"""Who was acknowledged on one node is not told "there is no such thing" by another, however late that one reads. On a virtual clock."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

import pytest
import trio

from actors.certainty import WITHIN_S
from storage.memory.log import MemoryLog
from storage.ports.entry import Place
from storage.ports.errors import StorageAway
from storage.ports.log import Row
from tests.actors.world import Client, Worker, World, new_id, open_world

LATE_S = 0.4
"""So much later one of the nodes reads."""


class Late(MemoryLog):
    """A node that is slow to read."""

    late_s = LATE_S

    async def receive(self) -> Sequence[Row]:
        rows = await super().receive()
        await trio.sleep(self.late_s)
        return rows


def slow(worker: Worker, late_s: float = LATE_S) -> None:
    """From now on this worker reads late; its log is under way as it is."""
    log = worker.assembly.log
    log.__class__ = Late  # type: ignore[assignment]
    assert isinstance(log, Late)
    log.late_s = late_s


@pytest.fixture
async def world(autojump_clock: object) -> AsyncIterator[World]:
    async with open_world("n1-w1", "n2-w1", "n2-w2") as made:
        for name in ("n2-w1", "n2-w2"):
            slow(made.workers[name])
        await trio.sleep(1)
        yield made


async def hello(world: World, worker: str, user: str) -> Client:
    client = Client(world.workers[worker])
    assert "error" not in await client.ask("hello", token=user)
    return client


@pytest.fixture
async def pair(world: World) -> tuple[Client, Client]:
    """Alice where all is read at once; and alice again where it is read late."""
    return await hello(world, "n1-w1", "alice"), await hello(world, "n2-w1", "alice")


async def test_a_conversation_is_found_by_every_command_as_soon_as_it_is_acknowledged(world: World, pair: tuple[Client, Client]) -> None:
    here, there = pair
    asked: list[Callable[[str], dict[str, object]]] = [
        lambda c: {"m": "conversation.get", "c": c},
        lambda c: {"m": "conversation.watch", "c": c},
        lambda c: {"m": "conversation.watch", "c": c, "after": 1},
        lambda c: {"m": "conversation.sync", "c": c, "after": 0},
        lambda c: {"m": "message.list", "c": c},
        lambda c: {"m": "member.list", "c": c},
        lambda c: {"m": "message.read", "c": c, "seq": 1},
        lambda c: {"m": "typing.start", "c": c},
        lambda c: {"m": "message.send", "c": c, "id": new_id(world), "text": "hello"},
        lambda c: {"m": "member.add", "c": c, "users": ["carol"]},
        lambda c: {"m": "conversation.update", "c": c, "name": "G"},
        lambda c: {"m": "conversation.freeze", "c": c, "frozen": True},
    ]
    for number, make in enumerate(asked):
        assert "error" not in await here.ask("conversation.create", type="group", id=f"g{number}", members=["bob"])
        assert "error" not in await there.ask(**make(f"g{number}")), make("c")["m"]


async def test_what_was_said_is_there_to_be_changed(world: World, pair: tuple[Client, Client]) -> None:
    here, there = pair
    await here.ask("conversation.create", type="group", id="g", members=["bob"])
    for m, more in (("message.get", {}), ("message.edit", {"text": "better"}), ("reaction.add", {"emoji": "+"}), ("message.pin", {}),
                    ("message.delete", {"for": "all"})):
        message = new_id(world)
        await here.ask("message.send", c="g", id=message, text="hello")
        assert "error" not in await there.ask(m, c="g", id=message, **more), m


async def test_who_was_let_in_raised_or_released_is(world: World, pair: tuple[Client, Client]) -> None:
    here, _ = pair
    bob = await hello(world, "n2-w1", "bob")
    await here.ask("conversation.create", type="group", id="g", members=["carol"])
    assert (await bob.ask("conversation.get", c="g"))["error"] == "not_found"
    await here.ask("member.add", c="g", users=["bob"])
    assert "error" not in await bob.ask("message.send", c="g", id=new_id(world), text="I am in")
    await here.ask("conversation.freeze", c="g", frozen=True)
    assert (await hello_and_send(world, "n1-w1", "bob"))["error"] == "frozen"
    await here.ask("conversation.freeze", c="g", frozen=False)
    assert "error" not in await bob.ask("message.send", c="g", id=new_id(world), text="on we go")
    assert (await bob.ask("member.remove", c="g", user="carol"))["error"] == "forbidden"
    await here.ask("member.update", c="g", user="bob", role="admin")
    assert "error" not in await bob.ask("member.remove", c="g", user="carol")


async def hello_and_send(world: World, worker: str, user: str) -> dict[str, object]:
    client = await hello(world, worker, user)
    return await client.ask("message.send", c="g", id=new_id(world), text="hello")


async def test_what_was_undone_elsewhere_is_done_again(world: World, pair: tuple[Client, Client]) -> None:
    """A node that has not read of it yet would say that it is so already."""
    here, there = pair
    await here.ask("conversation.create", type="group", id="g", members=["bob", "carol"])
    message = new_id(world)
    await here.ask("message.send", c="g", id=message, text="hello")
    await here.ask("reaction.add", c="g", id=message, emoji="+")
    await trio.sleep(2)
    await here.ask("member.remove", c="g", user="bob")
    again = await there.ask("member.add", c="g", users=["bob"])
    assert "unchanged" not in again
    await here.ask("member.remove", c="g", user="bob")
    await there.ask("member.add", c="g", users=["bob", "carol"])
    assert {row["user"]["id"] for row in (await here.ask("member.list", c="g"))["items"]} == {"alice", "bob", "carol"}
    await here.ask("reaction.remove", c="g", id=message, emoji="+")
    assert "unchanged" not in await there.ask("reaction.add", c="g", id=message, emoji="+")
    await here.ask("user.block", user="bob")
    await trio.sleep(2)
    await here.ask("user.unblock", user="bob")
    assert "unchanged" not in await there.ask("user.block", user="bob")


async def test_order_within_a_connection_holds(world: World, pair: tuple[Client, Client]) -> None:
    here, there = pair
    await here.ask("conversation.create", type="group", id="g", members=["bob"])
    sent = [there.say("message.send", c="g", id=new_id(world), text=f"{number}") for number in range(5)]
    assert [(await there.reply(i))["r"]["seq"] for i in sent] == [2, 3, 4, 5, 6]


async def test_what_is_not_there_is_denied_all_the_same(world: World, pair: tuple[Client, Client]) -> None:
    _, there = pair
    began = trio.current_time()
    assert (await there.ask("conversation.get", c="nothing"))["error"] == "not_found"
    assert (await there.ask("message.send", c="nothing", id=new_id(world), text="hello"))["error"] == "not_found"
    assert trio.current_time() - began < LATE_S, "there was nothing to wait for"


async def test_a_node_that_cannot_come_so_far_says_what_it_knows(world: World, pair: tuple[Client, Client]) -> None:
    here, there = pair
    await here.ask("conversation.create", type="group", id="f", members=["bob"])
    slow(world.workers["n2-w1"], 3600)
    slow(world.workers["n2-w2"], 3600)
    await trio.sleep(2)
    await here.ask("conversation.create", type="group", id="g", members=["bob"])
    began = trio.current_time()
    assert (await there.ask("conversation.get", c="g"))["error"] == "not_found"
    assert trio.current_time() - began == pytest.approx(WITHIN_S, abs=0.2)


class Counted(MemoryLog):
    """Counts how often it is asked how far it goes, and may be away."""

    asked, away = 0, False

    async def ends(self, partitions: Collection[int]) -> Mapping[int, Place]:
        self.asked += 1
        await trio.sleep(0.01)
        if self.away:
            raise StorageAway("the log is away")
        return await super().ends(partitions)


async def test_one_question_serves_all_who_came_before_it(world: World, pair: tuple[Client, Client]) -> None:
    log = world.workers["n1-w1"].assembly.log
    log.__class__ = Counted  # type: ignore[assignment]
    assert isinstance(log, Counted)
    here, _ = pair
    asked = [here.say("conversation.get", c=f"nothing-{number}") for number in range(50)]
    assert {(await here.reply(i))["e"]["code"] for i in asked} == {"not_found"}
    assert 1 <= log.asked <= 4
    log.away = True
    assert (await here.ask("conversation.get", c="nothing"))["error"] == "not_found", "who cannot make sure says what is known"
