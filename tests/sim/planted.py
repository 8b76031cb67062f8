"""Bugs, each a rule of the product left out in the product's own code. The simulated world must find every one of them."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from actors import desk, record, room, storing
from actors.desk import NOT_NOW
from actors.fanout import Fanout
from actors.keys import Key
from actors.room import Room
from services import catalogue, checking, deciding, heads
from services.acts import Verdict
from services.checking import ANSWER, LOOK, Checked
from services.conversations import members
from services.deciding import Fold, Outcome
from services.history import History
from services.kinds import Touched
from services.messages import fold
from services.receipts.holding import Holding
from sim.play import TENANTS
from storage.memory.log import MemoryLog
from storage.memory.store import Store
from storage.ports.errors import OutcomeUnknown

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def small_window(patch: Patch, least: int = 2, most: int = 4, span_ms: int = 500) -> None:
    """So that short lives forget."""
    for name, value in (("WINDOW_LEAST", least), ("WINDOW_MOST", most), ("WINDOW_SPAN_MS", span_ms)):
        patch.setattr(deciding, name, value)


def deciding_otherwise(patch: Patch, change: Callable[[Fold, Any, Any, Callable[..., Outcome]], Outcome]) -> None:
    """`change(fold, entry, place, apply)` instead of `apply`."""
    apply = Fold.apply
    patch.setattr(Fold, "apply", lambda fold, entry, place: change(fold, entry, place, apply))


def repeats_are_forgotten(patch: Patch) -> None:
    def change(fold: Fold, entry: Any, place: Any, apply: Any) -> Outcome:
        found, fold._found = fold._found, {}
        try:
            return apply(fold, entry, place)
        finally:
            fold._found = {**found, **fold._found}

    deciding_otherwise(patch, change)


def stale_entries_are_applied(patch: Patch) -> None:
    small_window(patch, 1, 1, 0)

    def change(fold: Fold, entry: Any, place: Any, apply: Any) -> Outcome:
        return apply(fold, _with(entry, checked=fold.seq), place)

    deciding_otherwise(patch, change)


def another_content_is_a_duplicate(patch: Patch) -> None:
    check = record.check

    def checked(fold: Fold, kinds: Any, act: Any, *rest: Any) -> Checked:
        first = fold.find(act.op)
        return Checked(ANSWER, act, Verdict(first.seq, first.n, first.at, duplicate=True)) if first else check(fold, kinds, act, *rest)

    patch.setattr(record, "check", checked)


def old_ids_are_not_looked_up(patch: Patch) -> None:
    small_window(patch)
    patch.setattr(checking, "_is_old", lambda fold, op: False)


def old_ids_are_looked_up_too_early(patch: Patch) -> None:
    small_window(patch)
    patch.setattr(checking, "_look", lambda fold, act, op, stored: Checked(LOOK, act, op=op))


def the_horizon_is_made_of_entries_times(patch: Patch) -> None:
    small_window(patch)
    forget = Fold._forget

    def forgets(fold: Fold) -> None:
        before, horizon = list(fold.window), fold.horizon
        forget(fold)
        gone = before[: len(before) - len(fold.window)]
        fold.horizon = max([horizon, *(row.at - 20_000 for row in gone)])

    patch.setattr(Fold, "_forget", forgets)


def a_waking_room_leaves_out_the_window(patch: Patch) -> None:
    remembered = heads.restore

    def restore(parts: Any, loaded: Any) -> Fold:
        fold = remembered(parts, loaded)
        fold._found = {}
        return fold

    patch.setattr("actors.waking.restore", restore)


def storing_goes_backward(patch: Patch) -> None:
    def change(store: Store, change: Any) -> bool:
        shelf = store._documents.setdefault((change.tenant, change.collection), {})
        shelf[change.key] = (change.place, None if change.doc is None else msgspec.msgpack.encode(change.doc))
        return True

    patch.setattr(Store, "_change", change)


def storing_passes_over_what_is_not_decided(patch: Patch) -> None:
    patch.setattr(storing, "_is_known", lambda slot: True)


def resuming_is_off_by_one(patch: Patch) -> None:
    after = History.after

    async def one_later(history: History, scope: Any, conversation: str, seq: int, limit: int, *, own: bool = False) -> Any:
        return await after(history, scope, conversation, seq + (1 if own and seq > 3 else 0), limit, own=own)

    patch.setattr(History, "after", one_later)


def what_was_passed_on_is_passed_on_again(patch: Patch) -> None:
    take = Fanout.take

    def twice(fanout: Fanout, key: Key, seq: int, push: bytes, touched: Touched) -> None:
        take(fanout, key, seq, push, touched)
        audience = fanout._audiences.get(key)
        if audience is not None and seq % 5 == 0:
            for listener in list(audience.live):
                listener.send_frames(push)

    patch.setattr(Fanout, "take", twice)


def the_other_tenant_is_told_too(patch: Patch) -> None:
    take = Fanout.take

    def everybody(fanout: Fanout, key: Key, seq: int, push: bytes, touched: Touched) -> None:
        take(fanout, key, seq, push, touched)
        for tenant in TENANTS:
            other = fanout._audiences.get(Key(tenant, key.conversation)) if tenant != key.tenant else None
            for listener in list(other.live) if other else ():
                listener.send_frames(push)

    patch.setattr(Fanout, "take", everybody)


def what_is_refused_takes_a_seq(patch: Patch) -> None:
    def change(fold: Fold, entry: Any, place: Any, apply: Any) -> Outcome:
        outcome = apply(fold, entry, place)
        if outcome.what in ("refused", "conflict", "duplicate"):
            fold.seq += 1
        return outcome

    deciding_otherwise(patch, change)


def the_message_before_is_not_waited_for(patch: Patch) -> None:
    check = record.check
    patch.setattr(record, "check", lambda fold, kinds, act, *rest: check(fold, kinds, _with(act, after=None), *rest))


def the_latest_seq_is_answered(patch: Patch) -> None:
    land = Room._land

    def latest(self: Room) -> None:
        for riding in self._desk.flight.riding.values() if self._desk.flight else ():
            if riding.outcome is not None and riding.outcome.what == "ok":
                riding.outcome = msgspec.structs.replace(riding.outcome, seq=self.fold.seq)
        land(self)

    patch.setattr(Room, "_land", latest)


def it_is_answered_before_it_is_durable(patch: Patch) -> None:
    depart = Room._depart

    def at_once(self: Room, fold: Fold) -> None:
        depart(self, fold)
        if self._desk.flight is not None:
            for place, riding in enumerate(self._desk.flight.riding.values(), 1):
                riding.waiting.answer(Verdict(fold.seq + place, 0, riding.entry.at))

    patch.setattr(Room, "_depart", at_once)


def every_entry_counts_as_a_message(patch: Patch) -> None:
    accept = Fold._accept
    patch.setattr(Fold, "_accept", lambda fold, entry, decision: accept(fold, entry, msgspec.structs.replace(decision, counts=True)))


def who_is_out_goes_on_reading(patch: Patch) -> None:
    kind = members.KINDS["member.removed"]
    silent = _with(kind, touches=lambda entry: Touched())
    patch.setitem(members.KINDS, "member.removed", silent)
    patch.setitem(catalogue.KINDS, "member.removed", silent)


def an_entry_is_read_twice(patch: Patch) -> None:
    """A reader that begins anew from an earlier place."""
    receive = MemoryLog.receive

    async def again(log: MemoryLog) -> Any:
        rows = await receive(log)
        for row in rows:
            if row.place.offset % 7 == 0:
                log._cursors[row.partition] = row.place._replace(offset=row.place.offset + 1)
        return rows

    patch.setattr(MemoryLog, "receive", again)


def read_marks_fall(patch: Patch) -> None:
    emit = Room.emit

    def falling(self: Room, push: Any, but: str = "") -> None:
        if push["t"] == "message.read" and push["p"]["seq"] % 3 == 0:
            emit(self, {**push, "p": {**push["p"], "seq": push["p"]["seq"] + 2}}, but)
        emit(self, push, but)

    patch.setattr(Room, "emit", falling)


def read_marks_are_not_written_down(patch: Patch) -> None:
    patch.setattr(Holding, "due", lambda holding: None)
    patch.setattr(Holding, "__bool__", lambda holding: False)


def read_marks_that_could_not_be_written_are_taken_for_written(patch: Patch) -> None:
    landed = Holding.landed
    patch.setattr(Holding, "landed", lambda holding, number, *, kept, now: landed(holding, number, kept=True, now=now))


def a_waking_room_leaves_out_the_tail(patch: Patch) -> None:
    patch.setattr(room, "catch_up", lambda tails, partition, key, fold, applied: None)


def the_log_goes_on_with_what_was_let_go(patch: Patch) -> None:
    """And whoever has it back is given what comes from then on."""
    follow = MemoryLog.follow

    async def goes_on(log: MemoryLog, after: Any) -> Any:
        before = dict(log._cursors)
        ends = await follow(log, after)
        log._cursors = {**before, **log._cursors}
        return ends

    patch.setattr(MemoryLog, "leave", lambda log, partitions: None)
    patch.setattr(MemoryLog, "follow", goes_on)


def rights_are_checked_early_alone(patch: Patch) -> None:
    """Who was let in when it was checked is let in."""
    deciding, allowed = False, fold.allowed

    def change(one: Fold, entry: Any, place: Any, apply: Any) -> Outcome:
        nonlocal deciding
        deciding = True
        try:
            return apply(one, entry, place)
        finally:
            deciding = False

    deciding_otherwise(patch, change)
    patch.setattr(fold, "allowed", lambda *asked: "" if deciding else allowed(*asked))


def bodies_of_deleted_messages_stay(patch: Patch) -> None:
    amended = storing.amended
    patch.setattr(storing, "amended", lambda steps, known: (amended(steps, known)[0], []))


def an_unknown_outcome_is_told_as_a_refusal(patch: Patch) -> None:
    patch.setitem(desk._SAID, OutcomeUnknown, NOT_NOW)


def _with(struct: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(struct, **fields)


PLANTED: tuple[Plant, ...] = (
    repeats_are_forgotten, stale_entries_are_applied, another_content_is_a_duplicate, old_ids_are_not_looked_up, old_ids_are_looked_up_too_early,
    the_horizon_is_made_of_entries_times, a_waking_room_leaves_out_the_window, storing_goes_backward,
    storing_passes_over_what_is_not_decided, resuming_is_off_by_one, what_was_passed_on_is_passed_on_again, the_other_tenant_is_told_too,
    what_is_refused_takes_a_seq, the_message_before_is_not_waited_for,
    the_latest_seq_is_answered, it_is_answered_before_it_is_durable, every_entry_counts_as_a_message,
    who_is_out_goes_on_reading, an_entry_is_read_twice, read_marks_fall, read_marks_are_not_written_down,
    read_marks_that_could_not_be_written_are_taken_for_written, a_waking_room_leaves_out_the_tail, the_log_goes_on_with_what_was_let_go,
    rights_are_checked_early_alone, bodies_of_deleted_messages_stay, an_unknown_outcome_is_told_as_a_refusal,
)
