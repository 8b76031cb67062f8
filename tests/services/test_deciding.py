"""The fold, rule by rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from protocol.ids import make_uuid7
from services import deciding
from services.catalogue import KINDS
from services.deciding import WINDOW_LEAST, WINDOW_MOST, WINDOW_SPAN_MS, Fold
from services.heads import head_of, restore
from storage.ports.entry import encode_entry
from storage.ports.log import Loaded, StoredRow
from tests.services.log import CREATED, PARTS, Log, T


def test_seqs_are_dense_and_messages_have_n() -> None:
    log = Log()
    assert [(one.seq, one.n) for one in (log.say(), log.add("member.added", "ua", {"users": ["uc"]}), log.say("uc"))] == [(2, 1), (3, 0), (4, 2)]


def test_a_repeat_is_a_duplicate_with_the_first_result() -> None:
    log = Log()
    first = log.say()
    log.say()
    again = log.say(op=log.op(2), digest=log.entries[1][0].digest)
    assert (again.what, again.seq, again.n, again.at) == ("duplicate", first.seq, first.n, first.at)


def test_the_same_id_with_another_body_or_sender_is_a_conflict() -> None:
    log = Log()
    log.say()
    assert log.say(op=log.op(2), digest=b"other").what == "conflict"
    assert log.fold.seq == 2


def test_only_acceptance_is_remembered() -> None:
    log = Log()
    op = make_uuid7(T, b"x" * 10)
    assert log.say("uz", op=op, digest=b"d").what == "refused"
    log.add("member.added", "ua", {"users": ["uz"]})
    assert log.say("uz", op=op, digest=b"d").what == "ok"


def test_an_entry_checked_before_the_window_is_stale() -> None:
    log = Log()
    for n in range(WINDOW_LEAST + 1):
        log.say(at=T + n * WINDOW_SPAN_MS)
    assert len(log.fold.window) == WINDOW_LEAST
    begins = log.fold.seq - WINDOW_LEAST
    assert log.say(checked=begins - 1, at=T + 99 * WINDOW_SPAN_MS).what == "stale"
    assert log.say(checked=begins, at=T + 99 * WINDOW_SPAN_MS).what == "ok"


def test_the_window_holds_sixteen_however_old() -> None:
    log = Log()
    for n in range(40):
        log.say(at=T + n * WINDOW_SPAN_MS * 10)
    assert len(log.fold.window) == WINDOW_LEAST


def test_the_window_holds_what_is_two_minutes_young() -> None:
    log = Log()
    for n in range(200):
        log.say(at=T + n)
    assert len(log.fold.window) == 201
    log.say(at=T + 100 + WINDOW_SPAN_MS)
    assert log.fold.window[0].at == T + 100


def test_the_window_never_holds_more_than_1024() -> None:
    log = Log()
    for _ in range(WINDOW_MOST + 50):
        log.say()
    assert len(log.fold.window) == WINDOW_MOST
    assert [row.seq for row in log.fold.window] == list(range(log.fold.seq - WINDOW_MOST + 1, log.fold.seq + 1))


def test_the_horizon_is_made_of_ids_times() -> None:
    log = Log()
    late = make_uuid7(T + 5_000, b"y" * 10)
    log.say(op=late, at=T)
    for n in range(WINDOW_LEAST):
        log.say(at=T + (n + 1) * WINDOW_SPAN_MS)
    assert log.fold.find(late) is None
    assert log.fold.horizon == T + 5_000


def test_rights_are_decided_by_the_log() -> None:
    log = Log()
    log.add("member.removed", "ua", {"user": "ub"})
    assert KINDS["member.removed"].touches(log.entries[-1][0]).ends("ub")
    refused = log.say("ub")
    assert (refused.what, refused.code, log.fold.seq) == ("refused", "not_found", 2)


def test_the_last_owner_stays() -> None:
    log = Log()
    assert log.add("member.removed", "", {"user": "ua"}).code == "last_owner"


def test_members_of_a_direct_conversation_cannot_be_changed() -> None:
    log = Log({**CREATED, "type": "direct", "members": [["ua", "owner"], ["ub", "owner"]]})
    for actor in ("ua", ""):
        assert log.add("member.added", actor, {"users": ["uc"]}).code == "forbidden"
        assert log.add("member.removed", actor, {"user": "ub"}).code == "forbidden"


def test_a_conversation_is_created_once() -> None:
    assert Log().add("conversation.created", "ub", CREATED).code == "id_conflict"


def test_ids_before_the_floor_have_expired() -> None:
    log = Log()
    log.add("floor.raised", "", {"seq": 1, "at": T + 10})
    assert log.say(at=T + 9).code == "id_expired"
    assert log.say(at=T + 10).what == "ok"


def test_larger_rules_are_not_decided() -> None:
    log = Log()
    assert log.say(rules=deciding.RULES + 1).code == "unknown_rules"


def test_a_thread_reply_takes_a_seq_but_no_n() -> None:
    log = Log()
    assert (log.add("message.reply", "ua", {"thread": "x"}).n, log.say().n) == (0, 1)


def test_adding_who_is_there_is_harmless() -> None:
    log = Log()
    assert log.add("member.added", "ua", {"users": ["ub"]}).what == "ok"
    assert log.fold.members["ub"].seq == 1


JUNK = some.recursive(some.none() | some.booleans() | some.integers(-(2**60), 2**60) | some.text(max_size=5) | some.binary(max_size=4),
                      lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=4), inner, max_size=3), max_leaves=8)


@given(kind=some.sampled_from([*KINDS, "unheard.of"]), actor=some.sampled_from(["", "ua", "ub", "uz"]), facts=JUNK | some.dictionaries(
    some.sampled_from(["user", "users", "members", "type", "access", "about", "by", "seq", "at", "thread"]), JUNK, max_size=8))
def test_apply_is_total_and_a_refusal_touches_nothing(kind: str, actor: str, facts: Any) -> None:
    log = Log()
    before = {**head_of(log.fold), "place": None}
    outcome = log.add(kind, actor, facts)
    if outcome.what != "ok":
        assert {**head_of(log.fold), "place": None} == before
    assert log.fold.seq == 1 + (outcome.what == "ok")


@given(times=some.lists(some.integers(-5, 5), min_size=1, max_size=60), cut=some.integers(0, 60))
def test_a_fold_that_was_stored_goes_on_as_if_it_had_not(times: list[int], cut: int) -> None:
    log, at = Log(), T
    twin = Fold(PARTS)
    for n, step in enumerate(times):
        if n == min(cut, len(times) - 1):
            rows = [StoredRow(outcome.seq, outcome.n, place, encode_entry(entry)) for entry, place, outcome in log.entries]
            head = head_of(log.fold)
            parts = [{"members": [(user, *member) for user, member in log.fold.members.items()], "place": tuple(log.fold.place)}]
            twin = restore(PARTS, Loaded(log.fold.place, head, parts, [row for row in rows if head["window"] <= row.seq]))
        at += step * 30_000
        log.say(at=max(at, 1))
        if twin.seq:
            twin.apply(*log.entries[-1][:2])
    assert head_of(twin) == head_of(log.fold)
    assert list(twin.window) == list(log.fold.window)


@pytest.mark.parametrize("members", [500, 501])
def test_members_are_kept_in_parts_of_500(members: int) -> None:
    outcome = Log({**CREATED, "members": [["ua", "owner"], *([f"u{n}", "member"] for n in range(members - 1))]}).entries[0][2]
    assert len({change.key for change in outcome.changes if change.collection == "parts"}) == (1 if members == 500 else 2)


class _Removing:
    """A fold with two kinds more: one that removes the body of an act, and one that is hidden once that has happened."""

    def __init__(self) -> None:
        self.log = Log()
        self.parts = deciding.Parts({**PARTS, "x.removed": lambda fold, said: deciding.Decision(removes=said.facts["removes"]),
                      "x.edited": lambda fold, said: deciding.Decision(hidden=fold.has_removed(said.facts["edits"]))})
        self.log.fold.parts = self.parts


def test_what_comes_after_a_removal_of_the_window_is_hidden_and_takes_its_seq() -> None:
    log = _Removing().log
    log.say()
    assert not log.add("x.edited", "ua", {"edits": log.op(2)}).hidden
    log.add("x.removed", "ua", {"removes": log.op(2)})
    edit = log.add("x.edited", "ua", {"edits": log.op(2)})
    assert (edit.what, edit.seq, edit.hidden) == ("ok", 5, True)


def test_a_removal_is_forgotten_with_its_entry_and_what_was_checked_before_it_is_stale_by_then() -> None:
    log = _Removing().log
    log.say()
    log.add("x.removed", "ua", {"removes": log.op(2)})
    for number in range(WINDOW_LEAST + 2):
        log.say(at=T + WINDOW_SPAN_MS * 2 + number)
    assert not log.fold.has_removed(log.op(2))
    assert log.add("x.edited", "ua", {"edits": log.op(2)}, checked=2).what == "stale"


def test_removals_are_known_again_after_waking() -> None:
    made = _Removing()
    log = made.log
    log.say()
    log.add("x.removed", "ua", {"removes": log.op(2)})
    rows = [StoredRow(outcome.seq, outcome.n, place, encode_entry(entry)) for entry, place, outcome in log.entries]
    woken = restore(made.parts, Loaded(log.fold.place, head_of(log.fold), (), rows))
    assert woken.has_removed(log.op(2))
