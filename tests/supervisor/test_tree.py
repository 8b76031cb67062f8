"""The supervision tree: order, restarts, failing upward, looking at it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervisor import (
    Actor,
    ActorStopped,
    Child,
    Directory,
    Exit,
    Restart,
    Strategy,
    Supervisor,
    TooManyRestarts,
    open_supervisor,
)


class Part(Actor[Any]):
    """Writes into a shared book when it starts and stops; dies of "die", ends at "end"."""

    def __init__(self, book: list[str], name: str, *, linger_in_stop: float = 0.0, start_fails: list[bool] | None = None) -> None:
        self.book = book
        self.name = name
        self.linger_in_stop = linger_in_stop
        self.start_fails = start_fails if start_fails is not None else []

    async def started(self) -> None:
        if self.start_fails and self.start_fails.pop(0):
            raise RuntimeError("cannot start")
        self.book.append(f"+{self.name}")

    def receive(self, message: Any) -> object:
        if message == "die":
            raise RuntimeError(f"{self.name} dies")
        if message == "end":
            self.ref.stop()
        return id(self)

    async def stopped(self, exit: Exit) -> None:
        await trio.sleep(self.linger_in_stop)
        self.book.append(f"-{self.name}")


def child(book: list[str], name: str, restart: Restart = Restart.ALWAYS, **more: Any) -> Child:
    return Child(name, lambda: Part(book, name, **more), restart)


def three(book: list[str]) -> list[Child]:
    return [child(book, name) for name in "abc"]


async def kill(supervisor: Supervisor, name: str) -> None:
    supervisor.ref(name).send_nowait("die")
    await wait_all_tasks_blocked()


async def test_children_start_in_order_and_stop_in_reverse(autojump_clock: MockClock) -> None:
    book: list[str] = []
    async with open_supervisor(three(book)):
        assert book == ["+a", "+b", "+c"]
    assert book == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_the_order_holds_when_cancelled_from_outside(autojump_clock: MockClock) -> None:
    book: list[str] = []
    with trio.move_on_after(1):
        async with open_supervisor([child(book, name, linger_in_stop=1.0) for name in "abc"]):
            await trio.sleep_forever()
    assert book == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_the_order_holds_when_the_body_fails(autojump_clock: MockClock) -> None:
    book: list[str] = []
    with pytest.RaisesGroup(ZeroDivisionError):
        async with open_supervisor(three(book)):
            raise ZeroDivisionError
    assert book[3:] == ["-c", "-b", "-a"]


async def test_no_child_s_clean_up_takes_longer_than_its_grace(autojump_clock: MockClock) -> None:
    book: list[str] = []
    began = trio.current_time()
    async with open_supervisor([Child(name, lambda name=name: Part(book, name, linger_in_stop=60), grace=2.0) for name in "ab"]):  # type: ignore[misc]
        pass
    assert trio.current_time() - began == pytest.approx(4)
    assert book == ["+a", "+b"]


async def test_a_restart_gives_a_fresh_actor_and_the_old_ref_says_so(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    book: list[str] = []
    async with open_supervisor(three(book)) as supervisor:
        old = supervisor.ref("b")
        first = await old.ask("who")
        await kill(supervisor, "b")
        with pytest.raises(ActorStopped):
            await old.ask("who")
        assert isinstance((await old.wait_stopped()).error, RuntimeError)
        assert await supervisor.ref("b").ask("who") != first
        assert supervisor.ref("b") is not old
    assert "b died" in caplog.text


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE, ["-b", "+b"]),
        (Strategy.REST, ["-b", "-c", "+b", "+c"]),
        (Strategy.ALL, ["-b", "-c", "-a", "+a", "+b", "+c"]),
    ],
)
async def test_who_restarts_with_it(autojump_clock: MockClock, strategy: Strategy, expected: list[str]) -> None:
    book: list[str] = []
    async with open_supervisor(three(book), strategy=strategy) as supervisor:
        book.clear()
        await kill(supervisor, "b")
        assert book == expected
        assert await supervisor.ref("c").ask("who")


@pytest.mark.parametrize(
    ("restart", "message", "lives"),
    [
        (Restart.ALWAYS, "die", 2),
        (Restart.ALWAYS, "end", 2),
        (Restart.ON_ERROR, "die", 2),
        (Restart.ON_ERROR, "end", 1),
        (Restart.NEVER, "die", 1),
        (Restart.NEVER, "end", 1),
    ],
)
async def test_when_there_is_a_new_life(autojump_clock: MockClock, restart: Restart, message: str, lives: int) -> None:
    book: list[str] = []
    async with open_supervisor([child(book, "a", restart)]) as supervisor:
        supervisor.ref("a").send_nowait(message)
        await wait_all_tasks_blocked()
        assert book.count("+a") == lives
        if lives == 1:
            with pytest.raises(LookupError):
                supervisor.ref("a")
            await supervisor.start(child(book, "a"))


async def test_too_many_restarts_fail_upward_with_the_cause(autojump_clock: MockClock) -> None:
    book: list[str] = []

    async def live() -> None:
        async with open_supervisor(three(book), restarts=2, within=5.0) as supervisor:
            for _ in range(2):
                await kill(supervisor, "b")
            assert supervisor.statistics().restarts == 2
            supervisor.ref("b").send_nowait("die")
            await trio.sleep_forever()

    with pytest.RaisesGroup(TooManyRestarts, flatten_subgroups=True) as caught:
        await live()
    cause: BaseException = caught.value
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    assert isinstance(cause, TooManyRestarts)
    assert isinstance(cause.__cause__, RuntimeError)
    assert book[-3:] == ["-b", "-c", "-a"]


async def test_restarts_far_apart_are_not_too_many(autojump_clock: MockClock) -> None:
    book: list[str] = []
    async with open_supervisor(three(book), restarts=1, within=5.0) as supervisor:
        for _ in range(5):
            await kill(supervisor, "b")
            await trio.sleep(5.5)
        assert supervisor.statistics().restarts == 5


async def test_a_new_life_that_does_not_start_is_tried_again(autojump_clock: MockClock) -> None:
    book: list[str] = []
    fails = [False, True, True]
    async with open_supervisor([child(book, "a", start_fails=fails)]) as supervisor:
        await kill(supervisor, "a")
        assert await supervisor.ref("a").ask("who")
        assert supervisor.statistics().restarts == 3


async def test_a_supervisor_whose_child_does_not_start_does_not_open(autojump_clock: MockClock) -> None:
    book: list[str] = []
    with pytest.RaisesGroup(RuntimeError):
        async with open_supervisor([child(book, "a"), child(book, "b", start_fails=[True])]):
            book.append("never")
    assert book == ["+a", "-a"]


async def test_two_children_with_one_name_are_a_mistake(autojump_clock: MockClock) -> None:
    async with open_supervisor([child([], "a")]) as supervisor:
        with pytest.raises(ValueError, match="already has a child"):
            await supervisor.start(child([], "a"))


async def test_a_stopped_child_is_not_restarted(autojump_clock: MockClock) -> None:
    book: list[str] = []
    async with open_supervisor(three(book)) as supervisor:
        await supervisor.stop("b")
        await trio.sleep(10)
        assert book == ["+a", "+b", "+c", "-b"]
        with pytest.raises(LookupError):
            supervisor.ref("b")


async def test_start_nowait_hands_out_a_ref_at_once(autojump_clock: MockClock) -> None:
    book: list[str] = []
    async with open_supervisor() as supervisor:
        ref = supervisor.start_nowait(child(book, "a", Restart.NEVER))
        assert book == []
        assert await ref.ask("who")
        assert book == ["+a"]


async def test_start_nowait_that_fails_is_a_death(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with open_supervisor() as supervisor:
        ref = supervisor.start_nowait(child([], "a", Restart.NEVER, start_fails=[True]))
        with pytest.raises(ActorStopped):
            await ref.ask("who")
        assert supervisor.statistics().alive == 0
    assert "a died" in caplog.text


async def test_a_branch_that_fails_upward_is_one_death_of_its_parent_s_child(autojump_clock: MockClock) -> None:
    book: list[str] = []
    async with open_supervisor() as node:
        branch = await node.branch("links", [child(book, "a")], restarts=0)
        assert book == ["+a"]
        branch.ref("a").send_nowait("die")
        await wait_all_tasks_blocked()
        assert book == ["+a", "-a", "+a"]
        assert node.statistics().restarts == 1
        assert await branch.ref("a").ask("who")
    assert book == ["+a", "-a", "+a", "-a"]


async def test_the_order_of_a_whole_tree(autojump_clock: MockClock) -> None:
    book: list[str] = []
    async with open_supervisor(name="node", strategy=Strategy.REST) as node:
        await node.start(child(book, "storage"))
        await node.branch("services", [child(book, "s1"), child(book, "s2")])
        await node.start(child(book, "listener"))
        await kill(node, "storage")
    up, down = ["+storage", "+s1", "+s2", "+listener"], ["-listener", "-s2", "-s1", "-storage"]
    assert book == [*up, "-storage", "-listener", "-s2", "-s1", *up, *down]


async def test_rest_empties_a_directory_and_holds_its_new_lives_back(autojump_clock: MockClock) -> None:
    book: list[str] = []

    class Room(Part):
        def __init__(self, key: str) -> None:
            super().__init__(book, key)

    class Storage(Part):
        async def started(self) -> None:
            await trio.sleep(1)
            await super().started()

    async with open_supervisor(name="node", strategy=Strategy.REST) as node:
        await node.start(Child("storage", lambda: Storage(book, "storage")))
        rooms: Directory[Any] = Directory(node, "room", Room)
        first = await rooms.ask("r", "who")
        await kill(node, "storage")
        began = trio.current_time()
        assert await rooms.ask("r", "who") != first
        assert trio.current_time() - began == pytest.approx(1)
    assert book == ["+storage", "+r", "-storage", "-r", "+storage", "+r", "-r", "-storage"]


async def test_the_tree_can_be_looked_at(autojump_clock: MockClock) -> None:
    book: list[str] = []
    async with open_supervisor([child(book, "storage")], name="node") as node:
        await node.branch("links", [child(book, "l1")])
        rooms: Directory[Any] = Directory(node, "room", lambda key: Part(book, key))
        await rooms.ask("r1", "who")
        for _ in range(3):
            rooms.send_nowait("r2", "who")
        await kill(node, "storage")
        for _ in range(3):
            rooms.send_nowait("r2", "who")
        tree = node.tree()
    assert (tree.name, tree.kind) == ("node", "supervisor")
    storage, links, room = tree.children
    assert (storage.name, storage.kind, storage.state, storage.restarts) == ("storage", "Part", "waiting", 1)
    assert [below.name for below in links.children] == ["l1"]
    assert (room.kind, room.depth, room.processed) == ("directory", 3, 4)
    assert [(below.name, below.depth) for below in room.children] == [("room/r2", 3)]
    assert room.detail.startswith("2 awake")


async def test_nothing_is_started_in_a_house_that_is_closed(autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        rooms: Directory[Any] = Directory(supervisor, "room", lambda key: Part([], key))
    with pytest.raises(ActorStopped):
        await supervisor.start(child([], "a"))
    with pytest.raises(ActorStopped):
        await rooms.ask("r", "who")


class Fatal(BaseException):
    """As SystemExit and KeyboardInterrupt are."""


@pytest.mark.parametrize("fatal", [Fatal, MemoryError])
async def test_what_is_nobodys_own_failure_ends_the_house_and_everybody_still_lets_go(autojump_clock: MockClock, fatal: type[BaseException]) -> None:
    book: list[str] = []

    class Doomed(Part):
        def receive(self, message: Any) -> object:
            raise fatal

    with pytest.RaisesGroup(fatal, flatten_subgroups=True):
        async with open_supervisor([child(book, "a", linger_in_stop=1.0), Child("b", lambda: Doomed(book, "b"))]) as supervisor:
            supervisor.ref("b").send_nowait("anything")
            await trio.sleep_forever()
    assert sorted(book) == ["+a", "+b", "-a", "-b"]
