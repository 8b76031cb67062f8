"""Users over the socket: in order, by themselves, and heard of in the application's own conversation."""

from services.scope import Scope
from tests.actors.world import TENANT, Client, World, new_id, open_world


async def said(client: Client, user: str) -> Client:
    await client.ask("hello", token=user)
    return client


async def test_a_user_tells_of_oneself_and_others_see_it(autojump_clock):
    async with open_world("w1", "w2") as world:
        alice, bob = await said(Client(world.workers["w1"]), "alice"), await said(Client(world.workers["w2"]), "bob")
        op = new_id(world)
        first = await alice.ask("user.update", display_name="Alice", op=op)
        assert first == {"user": {"id": "alice", "display_name": "Alice"}}
        assert await alice.ask("user.update", display_name="Alice", op=op) == {**first, "duplicate": True}
        assert (await alice.ask("user.update", display_name="Ali", op=op))["error"] == "id_conflict"
        assert await bob.ask("user.get", users=["nobody", "alice"]) == {"items": [first["user"]]}
        assert (await bob.ask("user.update", user="alice", display_name="X"))["error"] == "forbidden"
        assert (await bob.ask("user.list"))["error"] == "forbidden"
        assert (await bob.ask("user.get", users="alice"))["error"] == "bad_request"
        assert (await alice.ask("hello", token="alice"))["error"] == "bad_request"
        again = await Client(world.workers["w2"]).ask("hello", token="alice")
        assert again["user"] == first["user"]
        assert await kinds(world) == ["user.created"] * 3 + ["user.connected"] * 2 + ["user.updated"]


async def test_changes_of_one_connection_take_effect_in_the_order_sent(autojump_clock):
    async with open_world("w1") as world:
        alice = await said(Client(world.workers["w1"]), "alice")
        asked = [alice.say("user.update", display_name=f"Name {number}") for number in range(20)]
        shown = [(await alice.reply(i))["r"]["user"]["display_name"] for i in asked]
        assert shown == [f"Name {number}" for number in range(20)]
        assert (await alice.ask("user.get", users=["alice"]))["items"][0]["display_name"] == "Name 19"


async def kinds(world: World) -> list[str]:
    """What the application's own conversation holds, sorted by what comes first."""
    assembly = world.workers["w1"].assembly
    tenant = await assembly.tenants.ready(TENANT)
    passage = await assembly.history.after(Scope(TENANT), tenant.application(), 0, 100, own=True)
    return [push["t"] for push in await assembly.history.pushes(Scope(TENANT), passage.rows)]
