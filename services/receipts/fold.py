"""The receipts' part of the fold: entries of personal conversations, which nothing refuses; and what storing makes of them. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from services.amending import Amend, Amended, Document
from services.deciding import Decision, Fold, Said
from services.kinds import Body, Kind
from services.receipts.pointers import MOST_MENTIONS, NOWHERE, Pointer, document_key, document_of, pointer_of
from storage.ports.entry import Entry

READ, DELIVERED, MENTIONED = "read.moved", "delivered.moved", "mention.new"


def decide_personal(fold: Fold, said: Said) -> Decision:
    """Only the server makes these, and only in a personal conversation, which nobody made. Pointers rise; a repeat does no harm."""
    return Decision("forbidden" if fold.type else "")


def moves_of(facts: dict[str, Any]) -> dict[str, Pointer]:
    """How far an entry moves which pointers."""
    moves = {name: NOWHERE.forward(Pointer(seq, n)) for name, (seq, n) in facts["read"].items()}
    for name, seq in facts["delivered"].items():
        moves[name] = moves.get(name, NOWHERE).forward(Pointer(delivered=seq))
    return moves


def render_read(entry: Entry, seq: int, n: int, body: Body) -> Body:
    """`read.moved`: for the user's other devices. Delivery is nothing to them."""
    return {"conversations": {name: read for name, (read, _) in entry.facts["read"].items()}}


def amend_pointers(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """Each pointer forward, and what was mentioned and is read now forgotten."""
    return [Amend("pointers", document_key(entry.conversation, name), _moved(to)) for name, to in moves_of(entry.facts).items()]


def amend_mentions(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """One mention more, unless the message was read before this was stored."""
    conversation, mentioned = entry.facts["conversation"], entry.facts["seq"]
    return [Amend("pointers", document_key(entry.conversation, conversation), _mentioned(mentioned))]


def amend_everybody(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """A message for all (`mention_all`) appends nothing anywhere; the conversation remembers its latest ones."""
    return [Amend("mentions_of_all", entry.conversation, _for_all(seq, entry.actor))] if entry.facts.get("mention_all") else ()


def _moved(to: Pointer) -> Callable[[Document | None], Amended]:
    return lambda doc: Amended(document_of(pointer_of(doc).forward(to), doc["mentions"] if doc else ()))


def _mentioned(seq: int) -> Callable[[Document | None], Amended]:
    return lambda doc: Amended(document_of(pointer_of(doc), sorted({*(doc["mentions"] if doc else ()), seq})))


def _for_all(seq: int, sender: str) -> Callable[[Document | None], Amended]:
    return lambda doc: Amended({"by": [*(doc["by"] if doc else ()), (seq, sender)][-MOST_MENTIONS:]})


KINDS = {
    READ: Kind("read.moved", decide_personal, render_read, amends=amend_pointers, alone=False),
    DELIVERED: Kind("skip", decide_personal, amends=amend_pointers, alone=False),
    MENTIONED: Kind("mention.new", decide_personal, amends=amend_mentions, alone=False),
}
