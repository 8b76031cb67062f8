"""Presence's part of the fold: what a user has chosen, and when they were seen last. Both belong to the user's personal conversation."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from services.acts import Act
from services.deciding import Decision, Fold, Said
from services.kinds import Kind
from services.presence.model import NAME, STATUSES
from services.presence.state import GONE_AFTER_S
from storage.ports.entry import Entry
from storage.ports.log import Change

CHOSEN, SEEN = "presence.chosen", "presence.seen"


def decide_chosen(fold: Fold, said: Said) -> Decision:
    """A user says how they are. The text stays sealed, in the fold too."""
    status, told = said.facts["status"], bool(said.facts["text"])
    if fold.type or not said.actor:
        return Decision("forbidden")
    if status not in STATUSES:
        return Decision("bad_request")
    return Decision(change=partial(_choose, status, told))


def decide_seen(fold: Fold, said: Said) -> Decision:
    """The server says when a user was there last."""
    at = int(said.facts["at"])
    return Decision("forbidden") if fold.type or said.actor else Decision(change=partial(_see, at), hidden=True)


def trim_chosen(fold: Fold, act: Act) -> Act | None:
    """Nothing, when the same was said the last time."""
    return None if kept(fold).get("digest") == act.digest else act


def kept(fold: Fold) -> Mapping[str, Any]:
    """What the fold holds of presence: `status`, `seen_at`, `digest` of the last choice, and its text as `key`, `op` and `sealed`."""
    found: Mapping[str, Any] = fold.kept.get(NAME, {})
    return found


def _choose(status: str, told: bool, fold: Fold, entry: Entry) -> Sequence[Change]:
    before = kept(fold)
    seen_at = before.get("seen_at", 0)
    if status == "invisible" and before.get("status") != "invisible":
        # To the others it is as if the last device had gone: they are told of that when it is so long ago.
        seen_at = max(seen_at, entry.at - int(GONE_AFTER_S * 1000))
    text = {"key": entry.key, "op": entry.op, "sealed": entry.body} if told else {}
    fold.kept = {**fold.kept, NAME: {"status": status, "seen_at": seen_at, "digest": entry.digest, **text}}
    return ()


def _see(at: int, fold: Fold, entry: Entry) -> Sequence[Change]:
    before = kept(fold)
    fold.kept = {**fold.kept, NAME: {**before, "seen_at": max(at, before.get("seen_at", 0))}}
    return ()


KINDS = {
    CHOSEN: Kind("setting.changed", decide_chosen, trim=trim_chosen),
    SEEN: Kind("skip", decide_seen, alone=False),
}
