"""What of a fold is stored, and how a fold is made of it again.

A *head* is one small document for each conversation; members are kept beside it in *parts* of 500. The window is not stored: it is
read back from the stored entries. So a room wakes from one read, and a message costs one small head.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from services.deciding import Fold, Member, Parts, Remembered
from storage.ports.entry import Place, decode_entry
from storage.ports.log import Change, Loaded, StoredRow

MEMBERS_PER_PART = 500


class Torn(Exception):
    """A part is later than the head it was read with: read both again."""


def head_of(fold: Fold) -> dict[str, Any]:
    """The head of a fold as it stands."""
    return {
        "seq": fold.seq, "n": fold.n, "place": tuple(fold.place), "window": fold.seq - len(fold.window) + 1,
        "horizon": fold.horizon, "horizon_place": tuple(fold.horizon_place), "rules": fold.rules,
        "floor": (fold.floor_seq, fold.floor_at), "type": fold.type, "access": fold.access, "frozen": fold.frozen,
        "deleted": fold.deleted, "joined": fold.joined, "member_count": len(fold.members), "rights": fold.rights, "about": fold.about,
        "created_by": fold.created_by, "created": fold.created, "updated": fold.updated, "last_message": fold.last_message, "kept": fold.kept,
        "last_at": fold.window[-1].at if fold.window else fold.updated,
    }


def part_changes(fold: Fold, tenant: str, conversation: str, users: Iterable[int]) -> list[Change]:
    """The parts that hold the members with these `nth`, as documents."""
    touched = sorted({nth // MEMBERS_PER_PART for nth in users})
    rows: dict[int, list[tuple[str, str, int, int, int]]] = {number: [] for number in touched}
    for user, member in fold.members.items():
        if (number := member.nth // MEMBERS_PER_PART) in rows:
            rows[number].append((user, *member))
    return [Change(tenant, "parts", _part_key(conversation, number), {"members": rows[number], "place": tuple(fold.place)}, fold.place)
            for number in touched]


def part_keys(conversation: str, joined: int) -> list[str]:
    """The keys of all parts that a conversation may have, when so many have ever joined."""
    return [_part_key(conversation, number) for number in range(-(-joined // MEMBERS_PER_PART))]


def _part_key(conversation: str, number: int) -> str:
    return f"{conversation}/{number:06}"


def restore(parts: Parts, loaded: Loaded) -> Fold:
    """The fold that was stored. Raises Torn when head and parts are not of one moment."""
    fold, head = Fold(parts), loaded.head
    if head is None:
        return fold
    _take_head(fold, head)
    for part in loaded.parts:
        if Place(*part["place"]) > fold.place:
            raise Torn
        fold.members.update((user, Member(*rest)) for user, *rest in part["members"])
    for row in loaded.window:
        fold.remember(remembered(row))
    return fold


def remembered(row: StoredRow) -> Remembered:
    """What the window holds of a stored entry. Raises Damaged."""
    entry = decode_entry(row.data)
    return Remembered(row.seq, entry.op, entry.digest, entry.at, row.n, row.place, removed_by(entry.facts))


def removed_by(facts: Mapping[str, Any]) -> bytes:
    """The act whose body an accepted entry removed; empty for none. The fact is called `removes` in every kind that does."""
    removes: bytes = facts.get("removes", b"")
    return removes


def _take_head(fold: Fold, head: Mapping[str, Any]) -> None:
    fold.seq, fold.n, fold.rules, fold.place = head["seq"], head["n"], head["rules"], Place(*head["place"])
    fold.horizon, fold.horizon_place = head["horizon"], Place(*head["horizon_place"])
    fold.floor_seq, fold.floor_at = head["floor"]
    for name in ("type", "access", "frozen", "deleted", "joined", "rights", "created_by", "created", "updated", "last_message"):
        setattr(fold, name, head[name])
    fold.about = dict(head["about"])
    fold.kept = head.get("kept", {})
