"""Overlays: what became of an entry since it was said. One small document for each entry that was edited, removed, pinned or reacted to;
an entry that nothing happened to has none.

    {"edits": [seq, ...], "fields": {name: seq of the edit that set it}, "edited_at", "removed_at", "pinned": true, "emojis": [...]}
"""

from collections.abc import Sequence
from typing import Any

from services.amending import Amend, Amended, Document

COLLECTION = "overlays"


def overlay_key(conversation: str, op: bytes) -> str:
    """The document of an act."""
    return f"{conversation}/{op.hex()}"


def edited(conversation: str, op: bytes, seq: int, at: int, fields: Sequence[str]) -> Amend:
    """An edit that set these fields. Deleted stays deleted."""

    def make(doc: Document | None) -> Amended:
        before = doc or {}
        if "removed_at" in before:
            return Amended(before)
        return Amended({**before, "edits": [*before.get("edits", ()), seq], "edited_at": at,
                        "fields": {**before.get("fields", {}), **dict.fromkeys(fields, seq)}})

    return Amend(COLLECTION, overlay_key(conversation, op), make)


def removed(conversation: str, op: bytes, seq: int, at: int) -> Amend:
    """Its body goes, and those of its edits. `seq` is its own."""

    def make(doc: Document | None) -> Amended:
        before = doc or {}
        if "removed_at" in before:
            return Amended(before)
        return Amended({"removed_at": at, "emojis": before.get("emojis", [])}, (seq, *before.get("edits", ())))

    return Amend(COLLECTION, overlay_key(conversation, op), make)


def pinned(conversation: str, op: bytes, on: bool) -> Amend:
    """It is pinned, or not any more."""

    def make(doc: Document | None) -> Amended:
        before = doc or {}
        return Amended({**{name: value for name, value in before.items() if name != "pinned"}, **({"pinned": True} if on else {})})

    return Amend(COLLECTION, overlay_key(conversation, op), make)


def reacted(conversation: str, op: bytes, emoji: str) -> Amend:
    """Somebody has reacted with this emoji: who did is a document of its own, and stays known when all have taken it back."""

    def make(doc: Document | None) -> Amended:
        emojis: list[Any] = list((doc or {}).get("emojis", ()))
        return Amended({**(doc or {}), "emojis": emojis if emoji in emojis else [*emojis, emoji]})

    return Amend(COLLECTION, overlay_key(conversation, op), make)
