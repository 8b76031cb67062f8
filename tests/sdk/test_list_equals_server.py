"""Any sequence of acts, applied as pushes to the old state, equals the server's state: the SDK's list against the real rooms and storage."""

import random
from typing import Any

import pytest
import trio
from caas_sdk.core.message import to_wire
from caas_sdk.core.timeline import Timeline

from tests.actors.test_messages import joined, said
from tests.actors.world import Client, World, open_world

NAMES = ("alice", "bob", "carol")
ACTS: dict[str, Any] = {
    "message.edit": lambda number: {"text": f"edit {number}"},
    "message.delete": lambda number: {},
    "reaction.add": lambda number: {"emoji": "ab"[number % 2]},
    "reaction.remove": lambda number: {"emoji": "ab"[number % 2]},
    "message.pin": lambda number: {},
    "message.unpin": lambda number: {},
    "hide": lambda number: {"for": "me"},
}


async def act(world: World, chance: random.Random, client: Client, sent: list[str], number: int) -> None:
    """Something that one of them does; refusals are part of it."""
    if not sent or chance.random() < 0.3:
        thread = {"thread": chance.choice(sent)} if sent and chance.random() < 0.2 else {}
        sent.append(await said(world, client, f"{number}", **thread))
        return
    name = chance.choice(list(ACTS))
    command = "message.delete" if name == "hide" else name
    await client.ask(command, c="g", id=chance.choice(sent), **ACTS[name](number))


async def from_server(client: Client) -> list[dict[str, Any]]:
    """Every message that the server shows, in threads and outside, in order."""
    items: list[dict[str, Any]] = (await client.ask("message.list", c="g", limit=100))["items"]
    for root in [item["id"] for item in items]:
        items += (await client.ask("message.list", c="g", thread=root, limit=100))["items"]
    return sorted(items, key=lambda item: int(item["seq"]))


def applied(client: Client, timeline: Timeline, since: int) -> int:
    """Tell the list what was pushed since; how many pushes there are now."""
    for push in client.pushes[since:]:
        if push["t"] == "message.hidden" and push["p"]["conversation"] == "g":
            timeline.hide(push["p"]["id"])
        elif push.get("c") == "g" and "s" in push:
            timeline.apply(push)
    return len(client.pushes)


@pytest.mark.parametrize("seed", range(20))
async def test_pushes_applied_to_the_old_list_give_the_servers(seed: int, autojump_clock: object) -> None:
    chance = random.Random(seed)
    async with open_world("w1", "w2", seed=seed) as world:
        clients = await joined(world, *NAMES)
        sent: list[str] = []
        for number in range(15):
            await act(world, chance, chance.choice(clients), sent, number)
        await trio.sleep(chance.choice([0, 2, 100]))
        lists = [Timeline("g", name) for name in NAMES]
        told = []
        for client, timeline in zip(clients, lists, strict=True):
            timeline.take_page(await from_server(client), None, earlier=False)
            told.append(len(client.pushes))
        for number in range(15, 60):
            await act(world, chance, chance.choice(clients), sent, number)
            await trio.sleep(chance.choice([0, 0, 0.1, 1, 100]))
        for place, (client, timeline) in enumerate(zip(clients, lists, strict=True)):
            applied(client, timeline, told[place])
            server = await from_server(client)
            shown = {message.id for message in timeline.messages()}
            here = [to_wire(message) for message in timeline.all() if message.thread is None or message.thread in shown]
            assert here == server, NAMES[place]
