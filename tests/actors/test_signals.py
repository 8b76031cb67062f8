"""What lives in a room without being logged: signals to its parts, and what these tell the listeners."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from actors.ephemeral.catalogue import PARTS
from actors.ephemeral.part import Host, Quiet
from actors.messages import Signal
from protocol.errors import Refused
from services.deciding import Outcome
from services.scope import Scope
from storage.ports.entry import Entry
from tests.actors.world import TENANT, Client, World, new_id, open_world


class Waving(Quiet):
    """Tells everybody but who waves; again a second later; knows how much was said while it was there."""

    def __init__(self, host: Host) -> None:
        self.host, self.said, self.gone = host, 0, list[str]()

    def signal(self, signal: Signal) -> object:
        if signal.what == "wave.no":
            raise Refused("forbidden")
        push = {"t": "waved", "p": {"by": signal.scope.external}}
        self.host.emit(push, signal.scope.connection)
        self.host.alarm(1.0, lambda: self.host.emit(push))
        return {"said": self.said, "gone": self.gone}

    def applied(self, entry: Entry, outcome: Outcome) -> None:
        self.said += 1

    def left(self, worker: str) -> None:
        self.gone.append(worker)

    def may_sleep(self) -> bool:
        return False


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        for worker in made.workers.values():
            worker.assembly.house.ephemeral = {**PARTS, "wave": Waving}
        yield made


async def two_in(world: World, room: str) -> tuple[Client, Client]:
    alice, bob = Client(world.workers["w1"]), Client(world.workers["w2"])
    await alice.ask("hello", token="alice")
    await bob.ask("hello", token="bob")
    await alice.ask("conversation.create", type="group", id=room, members=["bob"])
    for client in (alice, bob):
        await client.ask("conversation.watch", c=room)
    return alice, bob


def asking(world: World, client: Client) -> tuple[Any, Scope]:
    return client.worker.assembly.router, Scope(TENANT, "u", "alice", "s", f"{client.worker.name}-{client.id}")


@pytest.mark.parametrize("room", ["one", "other", "third", "fourth"])  # owned by this worker or that
async def test_a_signal_reaches_everybody_but_its_connection(world: World, room: str, autojump_clock: object) -> None:
    alice, bob = await two_in(world, room)
    router, scope = asking(world, alice)
    assert await router.signal(scope, room, "wave.now", {}) == {"said": 0, "gone": []}
    await trio.sleep(0.5)
    assert [len(client.got("waved", room)) for client in (alice, bob)] == [0, 1]
    await trio.sleep(1)
    assert [len(client.got("waved", room)) for client in (alice, bob)] == [1, 2]
    assert "s" not in bob.got("waved", room)[0]


async def test_a_part_may_refuse_and_hears_what_the_log_accepts(world: World, autojump_clock: object) -> None:
    alice, _ = await two_in(world, "one")
    router, scope = asking(world, alice)
    with pytest.raises(Refused, match="forbidden"):
        await router.signal(scope, "one", "wave.no", {})
    await alice.ask("message.send", c="one", id=new_id(world), text="hi")
    assert (await router.signal(scope, "one", "wave.now", {}))["said"] == 1


async def test_a_part_survives_while_its_room_dozes(world: World, autojump_clock: object) -> None:
    alice, _ = await two_in(world, "one")
    router, scope = asking(world, alice)
    await router.signal(scope, "one", "wave.now", {})
    await alice.ask("message.send", c="one", id=new_id(world), text="hi")
    await trio.sleep(200)
    assert (await router.signal(scope, "one", "wave.now", {}))["said"] == 1
