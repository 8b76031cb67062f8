"""The messages' part of the fold: who may say something. Pure and total."""

from collections.abc import Sequence
from typing import Any

from protocol.ids import show_act
from services.deciding import Decision, Fold, Said
from services.rights import allowed
from storage.ports.entry import Entry
from storage.ports.log import Change


def decide_message(fold: Fold, said: Said) -> Decision:
    """A member with the right to send says something. A reply in a thread takes a seq but no n."""
    if refusal := allowed(fold, said.actor, "send"):
        return Decision(refusal)
    return _REPLY if said.facts.get("thread") else _MESSAGE


def render_message(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """The message as people get it; without a body, its tombstone."""
    placed: dict[str, Any] = {"id": show_act(entry.op), "seq": seq}
    if n:
        placed["n"] = n
    return {**placed, **body, "sent_at": entry.at}


def _authored(fold: Fold, entry: Entry) -> Sequence[Change]:
    return (Change(entry.tenant, "authors", f"{entry.conversation}/{entry.actor}", {"n": fold.n, "seq": fold.seq}, fold.place),)


_MESSAGE = Decision(counts=True, change=_authored)
_REPLY = Decision()
