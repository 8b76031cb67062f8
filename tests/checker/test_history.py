"""The checker passes a history that is as promised, and catches each rule's violation by that rule's name alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checker.history import KEPT_NS, RULES, Entry, Event, Listed, Outcome, digest, read, tally, violations, write

ROOM = "c_1"
History = tuple[list[Event], dict[str, list[Entry]]]


def send(t: int, who: str, id: str, type: Outcome, seq: int = 0) -> Event:
    return Event(t, f"{who}/1", who, ROOM, "send", type, id, digest(id), 1, seq)


def given(t: int, who: str, seq: int, id: str = "") -> Event:
    return Event(t, f"{who}/1", who, ROOM, "deliver", "ok", id, digest(id) if id else "", 1, seq)


def joined(t: int, who: str, seq: int) -> Event:
    return Event(t, f"{who}/1", who, ROOM, "join", "ok", "", "", 1, seq)


def logged(seq: int, id: str = "", who: str = "") -> Entry:
    return Entry(seq, id, digest(id) if id else "", who)


def good() -> History:
    """Two senders; one entry that is no message; a repeat after a lost connection, a refusal, a repeat after a refusal, an unknown end."""
    events = [
        joined(1, "alice", 1), joined(2, "bob", 0), given(3, "bob", 1),
        send(10, "alice", "a1", "invoke"), send(11, "alice", "a2", "invoke"), send(12, "bob", "b1", "invoke"),
        send(13, "alice", "a1", "ok", 2), send(14, "alice", "a2", "info"), send(15, "bob", "b1", "ok", 4),
        send(16, "alice", "a2", "invoke"), send(17, "alice", "a2", "ok", 3),
        send(20, "bob", "b2", "invoke"), send(21, "bob", "b2", "fail"),
        send(22, "bob", "b3", "invoke"), send(23, "bob", "b3", "fail"), send(24, "bob", "b3", "invoke"), send(25, "bob", "b3", "ok", 5),
        send(26, "alice", "a3", "invoke"), send(27, "alice", "a3", "info"),
        joined(28, "alice", 1),
        *(given(30 + seq, who, seq, id) for who in ("alice", "bob") for seq, id in ((2, "a1"), (3, "a2"), (4, "b1"), (5, "b3"))),
    ]
    log = [logged(1), logged(2, "a1", "alice"), logged(3, "a2", "alice"), logged(4, "b1", "bob"), logged(5, "b3", "bob")]
    return events, {ROOM: log}


def rules(history: History) -> set[str]:
    return {sentence.partition(":")[0] for sentence in violations(*history)}


def test_a_history_as_promised_passes() -> None:
    assert violations(*good()) == []


def test_an_unknown_end_may_have_taken_effect() -> None:
    events, log = good()
    log[ROOM].append(logged(6, "a3", "alice"))
    assert violations(events, log) == []


def test_what_was_given_up_may_still_come_late() -> None:
    """Its first attempt ended unknown, its second was refused; the first takes effect after the sender's next message."""
    events, log = good()
    late = [send(40, "bob", "b4", "invoke"), send(41, "bob", "b4", "info"), send(42, "bob", "b4", "invoke"), send(43, "bob", "b4", "fail"),
            send(44, "bob", "b5", "invoke"), send(45, "bob", "b5", "ok", 6)]
    log[ROOM] += [logged(6, "b5", "bob"), logged(7, "b4", "bob")]
    assert violations(events + late, log) == []


def test_an_announced_gap_is_no_hole() -> None:
    events, log = good()
    log[ROOM] += [logged(seq) for seq in (6, 7, 8)]
    gap = Event(50, "bob/1", "bob", ROOM, "gap", "ok", seq=7, epoch=1)
    assert violations([*events, gap, given(51, "bob", 8)], log) == []


def loses_an_acknowledged_message(events: list[Event], log: list[Entry]) -> None:
    """Acknowledged before it was durable."""
    log.pop()
    events[:] = [event for event in events if not (event.op == "deliver" and event.seq == 5)]


def acknowledges_another_seq(events: list[Event], log: list[Entry]) -> None:
    events[:] = [replace(event, seq=9) if (event.id, event.type, event.op) == ("b3", "ok", "send") else event for event in events]


def doubles_a_repeat(events: list[Event], log: list[Entry]) -> None:
    log.append(logged(6, "a1", "alice"))


def leaves_a_hole_in_the_log(events: list[Event], log: list[Entry]) -> None:
    log.append(logged(7))


def delivers_what_the_log_has_not(events: list[Event], log: list[Entry]) -> None:
    """Two nodes disagree about a seq."""
    events[:] = [replace(event, sha=digest("other")) if (event.op, event.client, event.seq) == ("deliver", "bob", 4) else event for event in events]


def resumes_off_by_one(events: list[Event], log: list[Entry]) -> None:
    events[:] = [event for event in events if (event.op, event.client, event.seq) != ("deliver", "bob", 3)]


def delivers_twice(events: list[Event], log: list[Entry]) -> None:
    events.append(given(60, "bob", 5, "b3"))


def delivers_before_any_join(events: list[Event], log: list[Entry]) -> None:
    events[:] = [event for event in events if (event.op, event.client) != ("join", "bob")]


def orders_by_clock(events: list[Event], log: list[Entry]) -> None:
    """A message first sent after another's acknowledgement comes before it."""
    events += [send(70, "alice", "a4", "invoke"), send(71, "alice", "a4", "ok", 7), send(72, "bob", "b6", "invoke"), send(73, "bob", "b6", "ok", 6)]
    log += [logged(6, "b6", "bob"), logged(7, "a4", "alice")]


def overtakes_its_own_sender(events: list[Event], log: list[Entry]) -> None:
    events += [send(70, "alice", "a4", "invoke"), send(71, "alice", "a5", "invoke"),
               send(72, "alice", "a5", "ok", 6), send(73, "alice", "a4", "ok", 7)]
    log += [logged(6, "a5", "alice"), logged(7, "a4", "alice")]


def has_what_nobody_sent(events: list[Event], log: list[Entry]) -> None:
    log.append(logged(6, "ghost", "bob"))


def changes_the_sender(events: list[Event], log: list[Entry]) -> None:
    log[4] = replace(log[4], sender="alice")


def changes_epoch_in_silence(events: list[Event], log: list[Entry]) -> None:
    log.append(logged(6))
    events.append(replace(given(60, "bob", 6), epoch=2))


def refuses_what_takes_effect(events: list[Event], log: list[Entry]) -> None:
    """An unknown outcome is told as a refusal: the next attempt is told that it was there already."""
    events[:] = [replace(event, repeat=True) if (event.id, event.type, event.op) == ("b3", "ok", "send") else event for event in events]


def test_the_repeat_of_what_is_unknown_may_have_taken_effect() -> None:
    events, log = good()
    events[:] = [replace(event, repeat=True) if (event.id, event.type, event.op) == ("a2", "ok", "send") else event for event in events]
    assert violations(events, log) == []


def appends_what_was_refused(events: list[Event], log: list[Entry]) -> None:
    log.append(logged(6, "b2", "bob"))


PLANTED: list[tuple[str, Callable[[list[Event], list[Entry]], None]]] = [
    ("S1", loses_an_acknowledged_message), ("S1", acknowledges_another_seq), ("S2", doubles_a_repeat), ("S3", leaves_a_hole_in_the_log),
    ("S4", delivers_what_the_log_has_not), ("S5", resumes_off_by_one), ("S5", delivers_twice), ("S5", delivers_before_any_join),
    ("S6", orders_by_clock), ("S7", overtakes_its_own_sender), ("S8", has_what_nobody_sent), ("S8", changes_the_sender),
    ("S8", changes_epoch_in_silence), ("S9", appends_what_was_refused),
    ("S9", refuses_what_takes_effect),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTED, ids=[plant.__name__ for _, plant in PLANTED])
def test_a_broken_rule_is_named(rule: str, plant: Callable[[list[Event], list[Entry]], None]) -> None:
    events, log = good()
    plant(events, log[ROOM])
    found = rules((events, log))
    assert rule in found
    assert found <= {rule, *ALSO.get(plant.__name__, ())}


ALSO = {
    "acknowledges_another_seq": ("S6",),  # whoever began after that acknowledgement is before it
    "doubles_a_repeat": ("S1", "S6", "S7"),  # an id in two places is at a wrong one
}


def test_a_history_can_be_kept(tmp_path: Path) -> None:
    events, _ = good()
    write(events, tmp_path / "history.jsonl")
    assert read(tmp_path / "history.jsonl") == events


def act(t: int, who: str, id: str, type: Outcome, seq: int = 0) -> Event:
    return replace(send(t, who, id, type, seq), op="act")


def with_acts() -> History:
    """An edit on its way twice, and a message that its sender deleted; bob was given it before."""
    events, log = good()
    log[ROOM] += [logged(6, "message.updated a1 better", "alice"), logged(7, "message.deleted b1", "bob")]
    log[ROOM][3] = replace(log[ROOM][3], sha="", gone=True)
    events += [act(40, "alice", "message.updated a1 better", "invoke"), act(41, "alice", "message.updated a1 better", "info"),
               act(42, "alice", "message.updated a1 better", "invoke"), act(43, "alice", "message.updated a1 better", "ok", 6),
               act(44, "bob", "message.deleted b1", "invoke"), act(45, "bob", "message.deleted b1", "ok", 7)]
    return events, log


def with_a_deleted_edit() -> History:
    """The message that was edited is deleted, too: bob was given the edit before, and nobody is any more."""
    events, log = with_acts()
    log[ROOM] += [logged(8, "message.deleted a1", "alice")]
    log[ROOM][1] = replace(log[ROOM][1], sha="", gone=True)
    log[ROOM][5] = Entry(6, gone=True)
    events += [given(42, "bob", 6, "message.updated a1 better"), given(46, "bob", 7, "message.deleted b1"),
               act(47, "alice", "message.deleted a1", "invoke"), act(48, "alice", "message.deleted a1", "ok", 8),
               given(49, "bob", 8, "message.deleted a1")]
    return events, log


def test_an_edit_goes_with_its_message() -> None:
    assert violations(*with_a_deleted_edit()) == []


def test_an_edit_that_is_left_of_a_deleted_message_is_found() -> None:
    events, log = with_a_deleted_edit()
    log[ROOM][5] = logged(6, "message.updated a1 better", "alice")
    assert rules((events, log)) == {"S11"}


def test_an_edit_that_is_gone_though_its_message_is_there_is_found() -> None:
    events, log = with_acts()
    log[ROOM][5] = Entry(6, gone=True)
    assert rules((events, log)) == {"S1"}
    assert rules(([*events, given(42, "bob", 6, "message.updated a1 better")], log)) == {"S1", "S4"}


def test_acts_are_held_to_the_same_rules() -> None:
    assert violations(*with_acts()) == []


def test_an_acknowledged_act_that_is_lost_is_found() -> None:
    events, log = with_acts()
    log[ROOM][5] = logged(6)
    assert rules((events, log)) == {"S1"}


def test_what_is_gone_though_nobody_deleted_it_is_found() -> None:
    events, log = with_acts()
    log[ROOM][1] = replace(log[ROOM][1], sha="", gone=True)
    assert rules((events, log)) == {"S11"}


def test_an_act_that_is_there_twice_is_found() -> None:
    events, log = with_acts()
    log[ROOM].append(logged(8, "message.updated a1 better", "alice"))
    assert "S2" in rules((events, log))


def test_another_tenants_message_is_found() -> None:
    """Same ids in two tenants are two things; what only the other has sent is not to be seen."""
    events, log = good()
    there = [replace(event, conversation=f"t1/{ROOM}") for event in events]
    others = [replace(event, conversation=f"t2/{ROOM}", sha=digest(f"theirs {event.id}")) for event in events if event.op == "send"]
    theirs = [replace(entry, sha=digest(f"theirs {entry.id}") if entry.id else "") for entry in log[ROOM]]
    both = {f"t1/{ROOM}": log[ROOM], f"t2/{ROOM}": theirs}
    assert violations(there + others, both) == []
    leaked = [replace(event, sha=digest("theirs b1")) if (event.op, event.client, event.seq) == ("deliver", "bob", 4) else event for event in there]
    assert "S10" in rules((leaked + others, both))


def test_what_is_said_or_told_when_somebody_is_out_is_found() -> None:
    events, log = good()
    out = act(40, "alice", "member.removed  bob", "invoke")
    log[ROOM].append(logged(6, "member.removed  bob", "alice"))
    assert violations([*events, out], log) == []
    said = [send(50, "bob", "b9", "invoke"), send(51, "bob", "b9", "ok", 7)]
    assert rules(([*events, out, *said], {ROOM: [*log[ROOM], logged(7, "b9", "bob")]})) == {"S10"}
    assert rules(([*events, out, given(50, "bob", 6, "member.removed  bob"), given(51, "bob", 7)], {ROOM: [*log[ROOM], logged(7)]})) == {"S10"}


def test_a_deleted_message_that_is_still_there_is_found() -> None:
    events, log = with_acts()
    log[ROOM][3] = replace(log[ROOM][3], sha=digest("b1"), gone=False)
    assert rules((events, log)) == {"S11"}


def test_an_act_about_nothing_is_found() -> None:
    events, log = good()
    log[ROOM].append(logged(6, "reaction.added zz r1", "bob"))
    assert rules(([*events, act(40, "bob", "reaction.added zz r1", "invoke"), act(41, "bob", "reaction.added zz r1", "ok", 6)], log)) == {"S11"}


def said_to_read(t: int, who: str, type: Outcome, seq: int) -> Event:
    return Event(t, f"{who}/1", who, ROOM, "read", type, seq=seq)


def told_read(t: int, seq: int) -> Event:
    return Event(t, "bob/1", "bob", ROOM, "mark", "ok", "alice", seq=seq)


def with_marks() -> History:
    """alice has read up to 3, 5 and 9, of which the last is refused; bob is told of it, and twice of one when somebody took over."""
    events, log = good()
    events += [said_to_read(49, "alice", "invoke", 3), told_read(50, 3), said_to_read(51, "alice", "ok", 3), said_to_read(52, "alice", "invoke", 5),
               told_read(53, 5), said_to_read(54, "alice", "ok", 5), told_read(55, 5), said_to_read(56, "alice", "invoke", 9),
               said_to_read(57, "alice", "fail", 9)]
    return events, log


def test_read_marks_that_rise_are_as_promised() -> None:
    assert violations(*with_marks()) == []


def test_a_read_mark_that_falls_or_runs_ahead_or_is_of_nobody_is_found() -> None:
    events, log = with_marks()
    assert rules(([*events, told_read(60, 3)], log)) == {"S11"}
    assert rules(([*events, told_read(60, 9)], log)) == {"S11"}, "there is no such seq"
    assert rules(([event for event in events if (event.op, event.seq) != ("read", 3)], log)) == {"S11"}, "who has never said so"


def listed(events: list[Event], log: dict[str, list[Entry]], read_seq: int, unread: int) -> list[str]:
    return [sentence.partition(":")[0] for sentence in violations(events, log, {}, [Listed("alice", ROOM, read_seq, unread)])]


def test_an_acknowledged_read_mark_that_is_lost_is_found() -> None:
    events, log = with_marks()
    assert listed(events, log, 5, 0) == []
    assert listed(events, log, 3, 2) == ["S11"]
    assert listed(events, log, 10, 0) == ["S11"], "further than they ever said"


def test_a_read_mark_may_be_lost_with_who_fell_soon_after_and_not_later() -> None:
    events, log = with_marks()
    assert listed([*events, Event(54 + KEPT_NS, "", "", "", "blow", "ok")], log, 3, 2) == []
    assert listed([*events, Event(55 + KEPT_NS, "", "", "", "blow", "ok")], log, 3, 2) == ["S11"]
    assert listed([*events, Event(40, "", "", "", "blow", "ok")], log, 3, 2) == ["S11"], "it fell before"
    assert listed([*events, Event(53, "", "", "", "blow", "ok")], log, 3, 2) == [], "the answer came when it had fallen"


def test_a_read_mark_without_an_answer_may_count_or_not() -> None:
    events, log = with_marks()
    unknown = [said_to_read(60, "alice", "invoke", 6), said_to_read(61, "alice", "info", 6)]
    assert listed(events + unknown, log, 5, 0) == listed(events + unknown, log, 6, 0) == []


def test_a_wrong_number_of_unread_messages_is_found() -> None:
    """Behind what was read, and behind what one said last oneself: alice's is seq 3."""
    events, log = with_marks()
    assert listed(events, log, 5, 2) == ["S12"]
    assert violations(*good(), {}, [Listed("bob", ROOM, 0, 0), Listed("alice", ROOM, 0, 2)]) == []


def test_a_wrong_count_is_found() -> None:
    events, log = good()
    assert violations(events, log, {ROOM: 4}) == []
    assert [sentence[:3] for sentence in violations(events, log, {ROOM: 5})] == ["S12"]


def test_every_rule_is_counted() -> None:
    assert tally(["S1: lost", "S1: lost too", "S12: counted wrong"]) == {rule: {"S1": 2, "S12": 1}.get(rule, 0) for rule in RULES}
