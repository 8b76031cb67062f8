"""Unread is everywhere the same number: any sequence of sends, replies, reads and mentions on two workers, against a naive model."""

from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as some
from trio.testing import MockClock

from tests.actors.world import Client, World, new_id, open_world

USERS = ("alice", "bob", "carol")
ROOMS = ("g", "h")

ACTS = some.one_of(
    some.tuples(some.just("send"), some.sampled_from(USERS), some.sampled_from(ROOMS), some.sampled_from(["", "thread", "silent"]),
                some.sampled_from([(), ("alice",), ("bob", "carol"), "all"])),
    some.tuples(some.just("read"), some.sampled_from(USERS), some.sampled_from(ROOMS), some.floats(0, 1)),
    some.tuples(some.just("delivered"), some.sampled_from(USERS), some.sampled_from(ROOMS), some.floats(0, 1)),
    some.tuples(some.just("sleep"), some.sampled_from([0.1, 3.0, 70.0])),
    some.tuples(some.just("crash")),
)


class Naive:
    """What one would do with a list of all that was said, and a finger on how far each has read."""

    def __init__(self) -> None:
        self.said: dict[str, list[tuple[int, str, bool, Any]]] = {room: [] for room in ROOMS}  # seq, sender, whether a thread's, mentions
        self.read = {(user, room): 0 for user in USERS for room in ROOMS}

    def row(self, user: str, room: str) -> dict[str, int]:
        messages = [(seq, sender) for seq, sender, aside, _ in self.said[room] if not aside]
        read = self.read[user, room]
        own = max((seq for seq, sender in messages if sender == user), default=0)
        numbers = {seq: number for number, (seq, _) in enumerate(messages, 1)}
        mentioned = [seq for seq, sender, _, whom in self.said[room] if sender != user and (whom == "all" or user in whom)]
        return {
            "read_seq": read, "read_n": sum(seq <= read for seq in numbers), "last_n": len(messages), "own_n": numbers.get(own, 0),
            "unread": sum(seq > max(read, own) for seq in numbers), "unread_mentions": sum(seq > max(read, own) for seq in mentioned),
        }


class Play:
    """A world with the three in two groups, on two workers, and the model beside it."""

    def __init__(self, world: World) -> None:
        self.world, self.naive, self.heads = world, Naive(), dict.fromkeys(ROOMS, 1)
        self.clients: dict[str, Client] = {}
        self.root: dict[str, str] = {}

    async def begin(self) -> None:
        await self.greet()
        for room in ROOMS:
            await self.clients["alice"].ask("conversation.create", type="group", id=room, members=["bob", "carol"])

    async def greet(self) -> None:
        workers = list(self.world.workers.values())
        for number, user in enumerate(USERS):
            client = self.clients[user] = Client(workers[number % len(workers)])
            assert "error" not in await client.ask("hello", token=user)

    async def do(self, act: Any) -> None:
        match act:
            case ("send", user, room, how, whom):
                await self.send(user, room, how, whom)
            case ("read" | "delivered", user, room, part):
                seq = round(part * self.heads[room])
                assert await self.clients[user].ask(f"message.{act[0]}", c=room, seq=seq) == {}
                if act[0] == "read":
                    self.naive.read[user, room] = max(seq, self.naive.read[user, room])
            case ("sleep", seconds):
                await trio.sleep(seconds)
            case ("crash",):
                await trio.sleep(11)  # what a killed worker held of pointers may be lost: let the log have it
                name = min(self.world.workers)
                await self.world.crash(name)
                await self.world.start(name)
                await self.greet()

    async def send(self, user: str, room: str, how: str, whom: Any) -> None:
        id_ = new_id(self.world)
        aside = how == "thread" and room in self.root
        p = {"thread": self.root[room]} if aside else {"silent": True} if how == "silent" else {}
        mentions = {"mention_all": True} if whom == "all" else {"mentions": list(whom)} if whom else {}
        answer = await self.clients[user].ask("message.send", c=room, id=id_, text="x", **p, **mentions)
        self.heads[room] = answer["seq"]
        if not aside:
            self.root.setdefault(room, id_)
        self.naive.said[room].append((answer["seq"], user, aside, whom))

    async def check(self) -> None:
        await trio.sleep(2)  # until all is stored, and mentions have been told
        for client in self.clients.values():
            other = Client(next(iter(self.world.workers.values())))
            user = next(name for name, one in self.clients.items() if one is client)
            await other.ask("hello", token=user)
            for asked in (client, other):
                rows = {row["conversation"]["id"]: row for row in (await asked.ask("conversation.list"))["items"]}
                shown = {room: {name: rows[room][name] for name in self.naive.row(user, room)} for room in ROOMS}
                assert shown == {room: self.naive.row(user, room) for room in ROOMS}, user
            other.drop()


@settings(max_examples=40, deadline=None)
@given(some.lists(ACTS, max_size=14))
def test_unread_is_what_a_naive_model_counts(acts: list[Any]) -> None:
    async def play() -> None:
        async with open_world("w1", "w2") as world:
            play = Play(world)
            await play.begin()
            for act in acts:
                await play.do(act)
            await play.check()

    trio.run(play, clock=MockClock(autojump_threshold=0))
