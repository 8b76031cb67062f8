"""One actor: answers, refusals, death, full mailboxes, rest and sleep."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervisor import (
    Actor,
    ActorStopped,
    AskTimeout,
    Child,
    Exit,
    Inbox,
    Later,
    MailboxFull,
    Ref,
    Restart,
    StartTimeout,
    Supervisor,
    open_supervisor,
)


class No(Exception):
    pass


class Echo(Actor[Any]):
    """Says it back, refuses "no", dies of "die", waits at "wait"."""

    refusals: ClassVar[tuple[type[Exception], ...]] = (No,)
    mailbox: ClassVar[int] = 4

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.seen: list[Any] = []
        self.passes = 0
        self.exit: Exit | None = None

    async def receive(self, message: Any) -> object:
        self.seen.append(message)
        if message == "no":
            raise No("no")
        if message == "die":
            raise RuntimeError("dead")
        if message == "wait":
            await self.gate.wait()
        return message

    def settled(self) -> None:
        self.passes += 1

    async def stopped(self, exit: Exit) -> None:
        self.exit = exit


class PlainEcho(Echo):
    """The same without a single await."""

    def receive(self, message: Any) -> object:  # type: ignore[override]
        self.seen.append(message)
        if message == "no":
            raise No("no")
        if message == "die":
            raise RuntimeError("dead")
        return message


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with open_supervisor() as supervisor:
        yield supervisor


async def start(supervisor: Supervisor, actor: Actor[Any]) -> Ref[Any]:
    return await supervisor.start(Child("it", lambda: actor, Restart.NEVER))


@pytest.mark.parametrize("kind", [Echo, PlainEcho])
async def test_an_ask_is_answered_with_what_receive_returns(autojump_clock: MockClock, supervisor: Supervisor, kind: type[Echo]) -> None:
    ref = await start(supervisor, kind())
    assert await ref.ask("hello") == "hello"


@pytest.mark.parametrize("kind", [Echo, PlainEcho])
async def test_a_refusal_answers_and_the_actor_lives_on(autojump_clock: MockClock, supervisor: Supervisor, kind: type[Echo]) -> None:
    ref = await start(supervisor, kind())
    with pytest.raises(No):
        await ref.ask("no")
    ref.send_nowait("no")
    assert await ref.ask("still here") == "still here"


@pytest.mark.parametrize("kind", [Echo, PlainEcho])
async def test_death_settles_every_ask(autojump_clock: MockClock, supervisor: Supervisor, kind: type[Echo]) -> None:
    ref = await start(supervisor, kind())
    heard: list[tuple[str, bool, type]] = []

    async def ask(word: str) -> None:
        with pytest.raises(ActorStopped) as caught:
            await ref.ask(word)
        heard.append((word, caught.value.begun, type(caught.value.__cause__)))

    def posted(value: object, error: Exception | None) -> None:
        assert isinstance(error, ActorStopped)
        heard.append(("posted", error.begun, type(error.__cause__)))

    async with trio.open_nursery() as nursery:
        ref.post("die", posted)
        for word in ("b", "a"):
            nursery.start_soon(ask, word)
    assert sorted(heard) == [("a", False, RuntimeError), ("b", False, RuntimeError), ("posted", True, RuntimeError)]
    with pytest.raises(ActorStopped):
        ref.send_nowait("late")
    assert isinstance((await ref.wait_stopped()).error, RuntimeError)


async def test_messages_of_one_sender_keep_their_order(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = PlainEcho()
    ref = await start(supervisor, actor)
    for number in range(200):
        await ref.send(number)
    await ref.ask("last")
    assert actor.seen == [*range(200), "last"]


async def test_an_ask_has_a_deadline(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = Echo()
    ref = await start(supervisor, actor)
    began = trio.current_time()
    with pytest.raises(AskTimeout):
        await ref.ask("wait", timeout=2)
    assert trio.current_time() - began == pytest.approx(2)
    actor.gate.set()
    assert await ref.ask("after") == "after"


async def test_cancelling_an_ask_is_not_an_answer(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = Echo()
    ref = await start(supervisor, actor)
    with trio.move_on_after(1) as scope:
        await ref.ask("wait")
    assert scope.cancelled_caught
    actor.gate.set()
    assert await ref.ask("next") == "next"


async def fill(supervisor: Supervisor) -> tuple[Echo, Ref[Any]]:
    actor = Echo()
    ref = await start(supervisor, actor)
    ref.send_nowait("wait")
    await wait_all_tasks_blocked()
    for number in range(Echo.mailbox):
        ref.send_nowait(number)
    return actor, ref


async def test_a_full_mailbox_refuses_at_once_whoever_does_not_wait(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    _, ref = await fill(supervisor)
    with pytest.raises(MailboxFull):
        ref.send_nowait("more")
    with pytest.raises(MailboxFull):
        ref.post("more", lambda value, error: None)
    assert ref.statistics().depth == Echo.mailbox


async def test_a_full_mailbox_holds_senders_back_in_order(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor, ref = await fill(supervisor)
    async with trio.open_nursery() as nursery:
        for word in ("first", "second", "third"):
            nursery.start_soon(ref.send, word)
            await wait_all_tasks_blocked()
        assert ref.statistics().depth == Echo.mailbox + 3
        actor.gate.set()
    assert await ref.ask("end") == "end"
    assert actor.seen == ["wait", 0, 1, 2, 3, "first", "second", "third", "end"]


async def test_an_ask_that_finds_no_room_in_time_was_never_sent(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor, ref = await fill(supervisor)
    with pytest.raises(AskTimeout):
        await ref.ask("no room", timeout=1)
    actor.gate.set()
    await ref.ask("end")
    assert "no room" not in actor.seen


async def test_death_settles_those_who_wait_for_room(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    _, ref = await fill(supervisor)
    outcomes: list[type[BaseException]] = []

    async def note(call: Any) -> None:
        try:
            await call("more")
        except ActorStopped as error:
            outcomes.append(type(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, ref.ask)
        nursery.start_soon(note, ref.send)
        await wait_all_tasks_blocked()
        await supervisor.stop("it")
    assert outcomes == [ActorStopped, ActorStopped]


async def test_stop_handles_what_is_in_the_mailbox_first(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor, ref = await fill(supervisor)
    ref.stop()
    with pytest.raises(ActorStopped):
        ref.send_nowait("late")
    actor.gate.set()
    assert await ref.wait_stopped() == Exit()
    assert actor.seen == ["wait", 0, 1, 2, 3]
    assert actor.exit == Exit()


async def test_a_batch_is_one_pass_and_settles_once(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    class Wide(PlainEcho):
        mailbox: ClassVar[int] = 1000

    actor = Wide()
    ref = await start(supervisor, actor)
    await wait_all_tasks_blocked()
    for number in range(40):
        ref.send_nowait(number)
    before = actor.passes
    await wait_all_tasks_blocked()
    assert (len(actor.seen), actor.passes - before) == (40, 1)


async def test_a_long_mailbox_gives_way_to_others(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    class Wide(PlainEcho):
        mailbox: ClassVar[int] = 1000

    actor = Wide()
    ref = await start(supervisor, actor)
    await wait_all_tasks_blocked()
    for number in range(640):
        ref.send_nowait(number)
    turns = 0
    while len(actor.seen) < 640:
        await trio.lowlevel.checkpoint()
        turns += 1
    assert actor.passes >= 10
    assert turns >= 5


class Deferring(Actor[Any]):
    def __init__(self) -> None:
        self.open: list[Later] = []

    def receive(self, message: Any) -> object:
        later = self.later()
        if message == "now":
            later.answer("at once")
        else:
            self.open.append(later)
        return later


async def test_an_answer_may_come_later_and_out_of_order(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = Deferring()
    ref = await start(supervisor, actor)
    heard: list[tuple[Any, Exception | None]] = []
    for word in ("a", "b"):
        ref.post(word, lambda value, error: heard.append((value, error)))
    assert await ref.ask("now") == "at once"
    assert ref.statistics().unanswered == 2
    refused = No("refused")
    actor.open[1].fail(refused)
    actor.open[0].answer(1)
    actor.open[0].answer(2)
    assert heard == [(None, refused), (1, None)]
    assert ref.statistics().unanswered == 0


async def test_death_settles_answers_that_were_to_come_later(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = Deferring()
    ref = await start(supervisor, actor)
    heard: list[Exception | None] = []
    ref.post("a", lambda value, error: heard.append(error))
    await wait_all_tasks_blocked()
    await supervisor.stop("it")
    actor.open[0].answer("too late")
    assert [type(error) for error in heard] == [ActorStopped]


async def test_a_reply_callback_that_raises_hurts_nobody_else(
    autojump_clock: MockClock, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    ref = await start(supervisor, Echo())

    def broken(value: object, error: Exception | None) -> None:
        raise ZeroDivisionError

    ref.post("hello", broken)
    assert await ref.ask("alive") == "alive"
    assert "a reply callback raised" in caplog.text


async def test_an_error_in_started_is_raised_to_whoever_starts_it(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    class Unwell(Echo):
        async def started(self) -> None:
            raise No("not today")

    actor = Unwell()
    with pytest.raises(No, match="not today"):
        await start(supervisor, actor)
    assert actor.exit is None
    assert await (await start(supervisor, Echo())).ask("the name is free") == "the name is free"


async def test_starting_has_a_deadline(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    class Waiting(Echo):
        patience: ClassVar[float] = 7.0

        async def started(self) -> None:
            await trio.sleep_forever()

    began = trio.current_time()
    with pytest.raises(StartTimeout):
        await start(supervisor, Waiting())
    assert trio.current_time() - began == pytest.approx(7)


async def test_an_actor_lives_once(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = Echo()
    await start(supervisor, actor)
    with pytest.raises(ValueError, match="fresh actor"):
        await supervisor.start(Child("again", lambda: actor, Restart.NEVER))


async def test_a_rest_holds_no_task_and_nobody_can_tell(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = PlainEcho()
    before = trio.lowlevel.current_statistics().tasks_living
    ref = await start(supervisor, actor)
    await ref.ask(1)
    assert trio.lowlevel.current_statistics().tasks_living == before + 1
    await trio.sleep(PlainEcho.linger + 0.2)
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert ref.statistics().state == "resting"
    assert await ref.ask(2) == 2
    assert actor.seen == [1, 2]


async def test_stopping_one_that_rests_runs_stopped(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = Echo()
    ref = await start(supervisor, actor)
    await trio.sleep(3)
    assert ref.statistics().state == "resting"
    await supervisor.stop("it")
    assert actor.exit == Exit()
    assert ref.statistics().state == "stopped"


async def test_cleaning_up_is_shielded_but_timed(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    class Slow(Echo):
        async def stopped(self, exit: Exit) -> None:
            await trio.sleep(3)
            self.exit = exit
            await trio.sleep(30)

    actor = Slow()
    await supervisor.start(Child("slow", lambda: actor, Restart.NEVER, grace=4.0))
    began = trio.current_time()
    with trio.move_on_after(1):
        await supervisor.stop("slow")
    await supervisor.stop("slow")
    assert trio.current_time() - began == pytest.approx(4)
    assert actor.exit == Exit()


class Reader(Actor[str]):
    """Keeps a nursery around its mailbox, as a socket's actor does."""

    idle: ClassVar[float] = 10.0

    def __init__(self) -> None:
        self.ticks = 0
        self.ended = False

    async def run(self, inbox: Inbox[str]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            await inbox.serve(self.receive)
            nursery.cancel_scope.cancel()

    async def _tick(self) -> None:
        while True:
            await trio.sleep(1)
            self.ticks += 1

    def receive(self, message: str) -> str:
        return message.upper()

    async def stopped(self, exit: Exit) -> None:
        self.ended = True


async def test_an_actor_with_a_nursery_of_its_own_keeps_its_task_and_sleeps(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    actor = Reader()
    began = trio.current_time()
    ref = await start(supervisor, actor)
    await trio.sleep(5)
    assert await ref.ask("hello") == "HELLO"
    assert ref.statistics().state == "waiting"
    assert await ref.wait_stopped() == Exit()
    assert trio.current_time() - began == pytest.approx(15, abs=0.2)
    assert actor.ended
    assert actor.ticks >= 14


async def test_the_sender_s_context_stays_with_the_sender(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    class Asked(Actor[str]):
        linger: ClassVar[float] = 0.0

        def receive(self, message: str) -> str:
            return who.get()

    ref = await start(supervisor, Asked())
    await trio.sleep(1)
    who.set("alice")
    assert await ref.ask("who?") == "nobody"


async def test_statistics_are_a_frozen_look(autojump_clock: MockClock, supervisor: Supervisor) -> None:
    ref = await start(supervisor, Echo())
    await ref.ask(1)
    now = ref.statistics()
    assert (now.name, now.depth, now.processed, now.state) == ("it", 0, 1, "waiting")
    with pytest.raises(AttributeError):
        now.depth = 3  # type: ignore[misc]
