"""The early check: what a room says of an act before it asks the log. The log decides; this only saves it what is plain already.

Laid beside `docs/model`: `check` is what a node does with a command before it appends, `Fold.apply` what it does when it reads.
"""

from collections.abc import Collection, Mapping

import msgspec

from protocol.errors import Refused
from protocol.ids import act_time
from services.acts import Act, Verdict
from services.deciding import Fold
from services.kinds import Kinds
from storage.ports.entry import Place

_SENDS = ("message.new", "message.reply")
APPEND, ANSWER, WAIT, LOOK = "append", "answer", "wait", "look"


class Checked(msgspec.Struct, frozen=True, gc=False):
    """What to do: append `act`; answer with `verdict`; wait for what is under way; or look up `op` in storage first."""

    what: str
    act: Act
    verdict: Verdict | None = None
    op: bytes = b""


def check(fold: Fold, kinds: Kinds, act: Act, ahead: Collection[bytes], stored: Place, looked_up: Mapping[bytes, bool],
          rules: int = 0) -> Checked:
    """Check one act. `ahead`: acts earlier in the same record; `looked_up`: old ids that storage was asked for, and
    whether it had them; `rules`: by which it will be written.

    Raises Refused. A repeat gets the first answer before rights are looked at.
    """
    if first := fold.find(act.op):
        if first.digest != act.digest:
            raise conflict(act.kind)
        return Checked(ANSWER, act, Verdict(first.seq, first.n, first.at, duplicate=True))
    if act.op in ahead:
        return Checked(WAIT, act)
    for op in old_ops(fold, act):
        if op not in looked_up and op not in ahead:
            return _look(fold, act, op, stored)
    if act.after is not None and fold.find(act.after) is None and act.after not in ahead and not looked_up.get(act.after):
        raise Refused("unavailable", "The message named in `after` has not arrived: send that one again first.", field="after")
    return _decided(fold, kinds, act, rules)


def conflict(kind: str) -> Refused:
    """The id was used for something else. A message's id is its act's; all others name it `op`."""
    return Refused("id_conflict", "This id was used for another act in this conversation: make a new one.",
                   field="id" if kind in _SENDS else "op")


def refusal(code: str, what: str) -> Refused:
    """The fold's refusal as a code of the table, and in a sentence."""
    return Refused(_CODES.get(code, code), _SENTENCES[code].format(what=what)) if code in _SENTENCES else Refused(code)


_CODES = {"last_owner": "forbidden"}
"""Refusals that only the fold tells apart."""

_SENTENCES = {
    "last_owner": "The last owner stays: make somebody else owner first (`member.update`).",
    "forbidden": "Your role in this conversation does not allow `{what}`.",
    "blocked": "One of you two has blocked the other: this is possible again when neither does.",
    "frozen": "The conversation is frozen: this is possible again when it is not.",
    "too_large": "The conversation has as many members as it may have.",
}


def old_ops(fold: Fold, act: Act) -> list[bytes]:
    """Those of the ids an act names of which only storage can say whether it has them."""
    return [op for op in (act.op, act.after) if op is not None and _is_old(fold, op) and fold.find(op) is None]


def _is_old(fold: Fold, op: bytes) -> bool:
    return act_time(op) <= fold.horizon


def _look(fold: Fold, act: Act, op: bytes, stored: Place) -> Checked:
    if stored < fold.horizon_place:
        raise Refused("unavailable", "Storage is behind for a moment: send it again with the same id.")
    return Checked(LOOK, act, op=op)


def _decided(fold: Fold, kinds: Kinds, act: Act, rules: int) -> Checked:
    if act.refusal:
        raise refusal(act.refusal, act.kind)
    decision = fold.decide(act.kind, act.op, act, rules)
    if decision.refusal:
        raise refusal(decision.refusal, act.kind)
    left = None if act.moot else kinds[act.kind].trim(fold, act)
    if left is None:
        return Checked(ANSWER, act, Verdict(fold.seq, unchanged=True))
    return Checked(APPEND, left)
