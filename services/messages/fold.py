"""The messages' part of the fold: who may say, change, remove and pin something. Pure and total.

That a message exists, and who sent it, is looked up before and rides in the facts (`of`): neither ever changes.
"""

from collections.abc import Sequence
from typing import Any

from protocol.ids import show_act
from services import overlays
from services.amending import Amend
from services.deciding import Decision, Fold, Said
from services.hiding import hid
from services.rights import allowed
from storage.ports.entry import Entry
from storage.ports.log import Change


def decide_message(fold: Fold, said: Said) -> Decision:
    """A member with the right to send says something. A reply in a thread takes a seq but no n."""
    if refusal := allowed(fold, said.actor, "send"):
        return Decision(refusal)
    return _REPLY if said.facts.get("thread") else _MESSAGE


def decide_edited(fold: Fold, said: Said) -> Decision:
    """A message says something else from here on; nobody sees it when the message was deleted just before."""
    edits: bytes = said.facts["edits"]
    if refusal := allowed(fold, said.actor, _whose("edit", said)):
        return Decision(refusal)
    return _UNSEEN if fold.has_removed(edits) else _SEEN


def decide_deleted(fold: Fold, said: Said) -> Decision:
    """A message goes, for everybody."""
    removes: bytes = said.facts["removes"]
    int(said.facts["seq"])
    if refusal := allowed(fold, said.actor, _whose("delete", said)):
        return Decision(refusal)
    return Decision(removes=removes)


def decide_pin(fold: Fold, said: Said) -> Decision:
    """A message is pinned, or not any more."""
    bytes(said.facts["message"])
    return Decision(allowed(fold, said.actor, "pin"))


def decide_hidden(fold: Fold, said: Said) -> Decision:
    """Somebody deletes a message for themselves: an entry of their personal conversation, which nobody made."""
    return Decision("forbidden" if fold.type else "")


def render_message(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """The message as people get it."""
    placed: dict[str, Any] = {"id": show_act(entry.op), "seq": seq}
    if n:
        placed["n"] = n
    return {**placed, **body, "sent_at": entry.at}


def render_edited(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """What changed: a field that was cleared is null."""
    return {**body, "edited_at": entry.at}


def tombstone(entry: Entry, seq: int, n: int, sender: str, removed_at: int) -> dict[str, Any]:
    """What is left of a deleted message."""
    thread = {"thread": entry.facts["thread"]} if entry.facts.get("thread") else {}
    return {"id": show_act(entry.op), "seq": seq, **({"n": n} if n else {}), "sender": sender, "type": entry.facts.get("type", "text"), **thread,
            "sent_at": entry.at, "deleted_at": removed_at}


def amend_edited(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """The message's overlay knows which edit set which field."""
    return (overlays.edited(entry.conversation, entry.facts["edits"], seq, entry.at, entry.facts["fields"]),)


def amend_deleted(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """The bodies go: the message's and those of its edits."""
    return (overlays.removed(entry.conversation, entry.facts["removes"], entry.facts["seq"], entry.at),)


def amend_pinned(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """It is pinned."""
    return (overlays.pinned(entry.conversation, entry.facts["message"], True),)


def amend_unpinned(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """It is not pinned any more."""
    return (overlays.pinned(entry.conversation, entry.facts["message"], False),)


def amend_hidden(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """The user's list of what they do not want to see."""
    return (hid(entry.conversation, entry.facts["conversation"], entry.facts["seq"]),)


def _whose(verb: str, said: Said) -> str:
    """The capability it takes: for one's own message, or for anybody's. The application has no messages of its own."""
    return f"{verb}_own" if said.actor and said.facts["of"] == said.actor else f"{verb}_any"


def _authored(fold: Fold, entry: Entry) -> Sequence[Change]:
    return (Change(entry.tenant, "authors", f"{entry.conversation}/{entry.actor}", {"n": fold.n, "seq": fold.seq}, fold.place),)


_MESSAGE = Decision(counts=True, change=_authored)
_REPLY = Decision()
_SEEN, _UNSEEN = Decision(), Decision(hidden=True)
