"""The reactions' part of the fold, and the documents that say who reacted: one for each message and emoji. Pure."""

from collections.abc import Sequence
from typing import Any

from services import overlays
from services.amending import Amend, Amended, Document
from services.deciding import Decision, Fold, Said
from services.rights import allowed
from storage.ports.entry import Entry

COLLECTION = "reactions"


def decide_reaction(fold: Fold, said: Said) -> Decision:
    """A user reacts to a message, or takes it back."""
    bytes(said.facts["message"])
    if not said.actor:
        return Decision("forbidden")
    return Decision(allowed(fold, said.actor, "react"))


def amend_added(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """The user is among those who reacted so, in the order in which they came; and the message knows the emoji."""
    message, emoji = entry.facts["message"], entry.facts["emoji"]
    return (_users(entry, lambda users: users if entry.actor in users else [*users, entry.actor]),
            overlays.reacted(entry.conversation, message, emoji))


def amend_removed(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """The user is not among them any more."""
    return (_users(entry, lambda users: [user for user in users if user != entry.actor]),)


def reaction_key(conversation: str, message: bytes, emoji: str) -> str:
    """The document of one emoji on one message."""
    return f"{overlays.overlay_key(conversation, message)}/{emoji}"


def _users(entry: Entry, after: Any) -> Amend:
    def make(doc: Document | None) -> Amended:
        return Amended({"users": after(list((doc or {"users": ()})["users"]))})

    return Amend(COLLECTION, reaction_key(entry.conversation, entry.facts["message"], entry.facts["emoji"]), make)
