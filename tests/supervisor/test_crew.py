"""Turns: actors that never wait share a task, and nobody can tell, but for what it costs."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervisor import Actor, ActorStopped, Directory, Exit, MailboxFull, Supervisor, open_supervisor


class Plain(Actor[Any]):
    """Does what it is told, and notes how it went."""

    mailbox: ClassVar[int] = 8
    notes: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self, key: str) -> None:
        self.key = key

    def receive(self, message: Any) -> object:
        self.notes.append((self.key, message))
        if message == "die":
            raise RuntimeError("told to")
        if callable(message):
            return message(self)
        return message

    def settled(self) -> None:
        self.notes.append((self.key, "settled"))

    async def stopped(self, exit: Exit) -> None:
        self.notes.append((self.key, exit.error))


@pytest.fixture(autouse=True)
def notes() -> list[tuple[str, Any]]:
    Plain.notes.clear()
    return Plain.notes


def directory(supervisor: Supervisor) -> Directory[Any]:
    return Directory(supervisor, "plain", Plain)


async def test_a_thousand_actors_with_something_to_do_are_one_task_and_none_when_it_is_done(autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many = directory(supervisor)
        before = trio.lowlevel.current_statistics().tasks_living
        for number in range(1000):
            many.send_nowait(str(number), "hello")
        assert trio.lowlevel.current_statistics().tasks_living == before + 1
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert many.statistics().resting == many.statistics().processed == 1000


async def test_what_has_gathered_is_handled_in_one_turn_and_settled_once(notes: list[tuple[str, Any]], autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many = directory(supervisor)
        for message in (1, 2, 3):
            many.send_nowait("a", message)
        many.send_nowait("b", 4)
        await wait_all_tasks_blocked()
        assert notes == [("a", 1), ("a", 2), ("a", 3), ("a", "settled"), ("b", 4), ("b", "settled")]


async def test_the_full_mailbox_refuses(autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many = directory(supervisor)
        for message in range(8):
            many.send_nowait("a", message)
        with pytest.raises(MailboxFull):
            many.send_nowait("a", 9)


async def test_one_that_dies_leaves_the_others_their_turns(notes: list[tuple[str, Any]], autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many = directory(supervisor)
        heard: list[Exception | None] = []
        for message in ("die", "never"):
            many.post("a", message, lambda result, error: heard.append(error))
        many.send_nowait("b", "hello")
        await wait_all_tasks_blocked()
        assert [type(error) for error in heard] == [ActorStopped, ActorStopped]
        assert ("b", "hello") in notes
        assert ("a", "never") not in notes
        assert await many.ask("a", "again") == "again"
        assert many.statistics().died == 1


async def test_one_that_is_stopped_handles_what_it_has_and_one_that_is_cancelled_does_not(notes: list[tuple[str, Any]],
                                                                                       autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many = directory(supervisor)
        for key in ("a", "b"):
            many.send_nowait(key, 1)
        stopping = many.find("a")
        assert stopping is not None
        stopping.stop()
        await many.stop("b")
        await wait_all_tasks_blocked()
        assert [note for note in notes if note[1] == 1] == [("a", 1)]
        assert (await stopping.wait_stopped()).error is None


async def test_one_that_ends_in_the_middle_of_its_turn(notes: list[tuple[str, Any]], autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many = directory(supervisor)
        heard: list[Any] = []
        many.post("a", lambda actor: actor.ref.stop(), lambda result, error: heard.append(error))
        many.post("a", "still", lambda result, error: heard.append(result))
        await wait_all_tasks_blocked()
        assert heard == [None, "still"]
        assert notes[-1] == ("a", None)
        assert many.find("a") is None


async def test_the_next_life_waits_for_the_end_of_the_one_before(notes: list[tuple[str, Any]], autojump_clock: MockClock) -> None:
    class Slow(Plain):
        async def stopped(self, exit: Exit) -> None:
            await trio.sleep(2)
            self.notes.append((self.key, "gone"))

    async with open_supervisor() as supervisor:
        many: Directory[Any] = Directory(supervisor, "slow", Slow)
        many.send_nowait("a", "die")
        await wait_all_tasks_blocked()
        assert await many.ask("a", "next") == "next"
        assert [note for _, note in notes if note != "settled"] == ["die", "gone", "next"]


async def test_turns_give_way_to_other_tasks(autojump_clock: MockClock) -> None:
    """Two that keep each other busy for ever do not keep the rest of the program from running."""
    async with open_supervisor() as supervisor:
        many = directory(supervisor)
        busy = True

        def again(actor: Plain) -> None:
            if busy:
                many.send_nowait("b" if actor.key == "a" else "a", again)

        many.send_nowait("a", again)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        busy = False
        await wait_all_tasks_blocked()
        assert many.statistics().processed > 1000


async def test_one_that_rests_answers_a_first_post_before_it_returns(notes: list[tuple[str, Any]], autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many, answers = directory(supervisor), list[Any]()
        many.post_first("a", "now", lambda value, error: answers.append((value, error)))
        assert answers == [("now", None)]
        assert notes == [("a", "now"), ("a", "settled")]
        assert many.statistics().resting == many.statistics().processed == 1


async def test_a_first_post_comes_behind_what_waits_already(notes: list[tuple[str, Any]], autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many, answers = directory(supervisor), list[Any]()
        many.send_nowait("a", "before")
        many.post_first("a", "after", lambda value, error: answers.append(value))
        assert answers == []
        await wait_all_tasks_blocked()
        assert answers == ["after"]
        assert notes == [("a", "before"), ("a", "after"), ("a", "settled")]


async def test_what_comes_in_its_turn_is_handled_after_it(notes: list[tuple[str, Any]], autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many, answers = directory(supervisor), list[Any]()

        def say_more(actor: Plain) -> str:
            many.post_first("a", "inner", lambda value, error: answers.append(value))
            return "outer"

        many.post_first("a", say_more, lambda value, error: answers.append(value))
        assert answers == ["outer", "inner"]


async def test_one_that_dies_of_a_first_post_is_out_of_the_books(autojump_clock: MockClock) -> None:
    async with open_supervisor() as supervisor:
        many, answers = directory(supervisor), list[Any]()
        many.post_first("a", "die", lambda value, error: answers.append(error))
        assert isinstance(answers[0], ActorStopped)
        assert many.find("a") is None
        many.post_first("a", "again", lambda value, error: answers.append(value))
        await wait_all_tasks_blocked()
        assert answers[1:] == ["again"]


async def test_what_nobody_survives_ends_the_house_and_not_who_posted(autojump_clock: MockClock) -> None:
    def fall(actor: Plain) -> None:
        raise MemoryError

    with pytest.raises(BaseExceptionGroup) as ended:
        async with open_supervisor() as supervisor:
            directory(supervisor).post_first("a", fall, lambda value, error: None)
            await trio.sleep(1)
    assert ended.group_contains(MemoryError)
