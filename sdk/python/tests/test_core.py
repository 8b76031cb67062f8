"""Corners of the core that no server leads to."""

import pytest
from behaviour_runner import START_MS, Runner
from caas_sdk import CaasError, codec
from caas_sdk.core.connection import token_expiry
from caas_sdk.core.outbox import MOST_TRIES, MOST_WAITING, Call, Outbox
from caas_sdk.core.pointers import Pointers
from caas_sdk.core.stream import MOST_EARLY, Stream


def a_message(place: int, c: str = "c") -> Call:
    return Call("message.send", {"c": c, "id": f"{place}"}, "act")


def test_a_call_that_is_told_to_try_again_too_often_fails() -> None:
    outbox, call, now = Outbox(lambda: 1.0), a_message(1), 0.0
    outbox.add(call)
    waits = []
    while not call.done:
        (flying,) = outbox.take(now)
        assert outbox.answered(flying.i) is call
        outbox.retry(call, CaasError("unavailable", retry_after_ms=500), now)
        if not call.done:
            waits.append(call.due - now)
            assert outbox.take(call.due - 0.01) == []
            assert outbox.next_due(now) == call.due
            now = call.due
    assert (len(waits), call.error is not None and call.error.code) == (MOST_TRIES - 1, "unavailable")
    assert waits == sorted(waits)
    assert waits[-1] == 30.5


def test_no_more_calls_wait_than_there_is_room_for() -> None:
    outbox = Outbox(lambda: 0.5)
    for place in range(MOST_WAITING):
        outbox.add(a_message(place, f"c{place}"))
    with pytest.raises(CaasError, match="too_many"):
        outbox.add(a_message(-1))


def test_conversations_do_not_wait_for_each_other() -> None:
    outbox = Outbox(lambda: 0.5)
    stuck = Call("conversation.join", {"c": "a"}, "act")
    for call in (stuck, a_message(1, "a"), a_message(2, "b")):
        outbox.add(call)
    assert [call.p["c"] for call in outbox.take(0.0)] == ["a", "b"]
    assert outbox.take(0.0) == []
    outbox.finish(stuck, result={})
    assert [call.p["id"] for call in outbox.take(0.0)] == ["1"]


def test_a_settled_call_does_not_end_another_one_of_its_number() -> None:
    outbox = Outbox(lambda: 0.5)
    old, fresh = a_message(1), Call("message.list", {}, "read")
    outbox.add(old)
    outbox.take(0.0)
    outbox.cut(CaasError("disconnected"))
    outbox.add(fresh)
    old.due = 9.0
    assert outbox.take(0.0) == [fresh]
    assert fresh.i == old.i
    outbox.finish(old, result={})
    assert outbox.answered(fresh.i) is fresh


def test_commands_share_frames_as_far_as_they_fit() -> None:
    commands = [codec.encode({"i": place, "m": "x", "p": {"text": "y" * 100}}) for place in range(1, 201)]
    frames = list(codec.gather(commands, 4_096, 64))
    assert all(len(data) <= 4_096 for _, data in frames)
    assert [frame["i"] for _, data in frames for frame in codec.decode(data)] == list(range(1, 201))
    assert max(count for count, _ in codec.gather(commands, 10**6, 64)) == 64
    assert [count for count, _ in codec.gather(commands[:1], 10, 64)] == [1]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\xc4\x01a", b"\x93\x01\x02\x03", b"\x81\x01\x02", b"\x81\xa1a"])
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ValueError):
        codec.decode(data)


def test_when_a_token_expires() -> None:
    assert [token_expiry(token) for token in ("", "x", "a.b.c", "a.!!!.c", "a.e30.c", "a.eyJleHAiOiJ4In0.c")] == [0] * 6
    assert token_expiry("a.eyJleHAiOjE3fQ.c") == 17_000


def test_pushes_that_come_too_early_are_bounded() -> None:
    stream = Stream()
    stream.begin(0, 1)
    assert [push for s in range(2, 2_000) for push in stream.take({"s": s})] == []
    assert [push["s"] for push in stream.take({"s": 1})] == list(range(1, MOST_EARLY + 2))
    assert not stream.hole


def test_pointers_only_rise() -> None:
    pointers = Pointers()
    for seq in (5, 3, 7, 7):
        pointers.move("message.delivered", "c", seq)
    assert pointers.take(1.0) == [("message.delivered", "c", 7)]
    pointers.move("message.delivered", "c", 6)
    assert pointers.take(9.0) == []
    pointers.move("message.delivered", "c", 9)
    pointers.move("message.read", "c", 9)
    assert pointers.take(9.0) == [("message.read", "c", 9)]


def test_time_passes_though_nothing_happens() -> None:
    """Whatever `next_at` names is over when it has been ticked: a face never turns in circles."""
    runner = Runner({"user": "alice"})
    runner.up({}, {})
    runner.do({"m": "conversation.watch", "p": {"c": "c"}}, {})
    for _ in range(2_000):
        due = runner.core.next_at(runner.now)
        if due is None:
            break
        assert due > runner.now or runner.core.connection.state == "connecting"
        runner.now = due
        runner.core.tick(runner.now)
        runner._drain()
        if runner.asked_token:
            runner.asked_token = False
            runner.core.token("t", runner.now)
            runner._drain()
    assert runner.now > 60
    assert runner.core.server_ms(runner.now) > START_MS
