"""What a room tells of its conversation, and to whom. Pure."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from protocol.errors import Refused
from protocol.limits import RECEIPTS_TO_ALL
from services.acts import View
from services.deciding import Fold
from services.heads import head_of
from services.kinds import Kinds
from services.rights import capabilities, named, of_application, stranger
from services.scope import Scope
from storage.ports.entry import Place, decode_entry, without_body


class Recent(msgspec.Struct, frozen=True, gc=False):
    """An accepted entry that storage does not have yet."""

    seq: int
    n: int
    place: Place
    kind: str
    data: bytes


def lacks(fold: Fold, asked: View) -> bool:
    """Whether whoever asks has seen more than the fold: a faster node, or what that has stored."""
    return asked.floor > fold.seq or (bool(asked.place) and Place(*asked.place) > fold.place)


def view(fold: Fold, epoch: int, kinds: Kinds, recent: Sequence[Recent], scope: Scope, asked: View) -> dict[str, Any]:
    """What this scope may know. Raises Refused."""
    standing = _standing(fold, scope, own=asked.own)
    if asked.what == "reached":
        return reached(fold, list(recent), asked.after)
    told = {"head": head_of(fold), "epoch": epoch, **standing}
    if asked.what == "members":
        told["rows"] = members(fold, asked.after, asked.limit)
    if asked.what == "rights":
        told |= rights(fold, asked.users)
    if asked.what == "read":
        told["stored"] = recent[0].seq - 1 if recent else fold.seq
        before = asked.before or fold.seq + 1
        wanted = [(row.seq, row.n, row.data) for row in recent if asked.after < row.seq < before]
        told["rows"] = wanted[: asked.limit] if asked.limit else wanted
    if asked.what in ("read", "find"):
        told["late"] = [(row.seq, row.n, tuple(row.place), row.data) for row in recent if kinds[row.kind].amending]
    if asked.what == "find":
        told["found"] = [(row.seq, row.n, row.data) for row in recent if decode_entry(row.data).op == asked.op]
    return told


def without(recent: Iterable[Recent], removed: bytes) -> deque[Recent]:
    """What is kept once the body of an act has been removed: it and its edits (whose fact `edits` names it) are stubs."""
    return deque(msgspec.structs.replace(row, data=without_body(row.data)) if _concerns(row, removed) else row for row in recent)


def reached(fold: Fold, recent: Sequence[Recent], seq: int) -> dict[str, Any]:
    """The last message at or before a seq: its number (None when only storage knows), and who sent it: "" where receipts go to
    everybody and nobody needs that, None when only storage knows."""
    row = next((row for row in reversed(recent) if row.n and row.seq <= seq), None)
    sender = "" if len(fold.members) <= RECEIPTS_TO_ALL else decode_entry(row.data).actor if row else None
    return {"n": row.n if row else _number_at(fold, seq), "sender": sender}


def _number_at(fold: Fold, seq: int) -> int | None:
    if seq >= fold.last_message:
        return fold.n
    found = next((row.n for row in reversed(fold.window) if row.n and row.seq <= seq), None)
    return 0 if found is None and fold.window and fold.window[0].seq == 1 else found


def _concerns(row: Recent, op: bytes) -> bool:
    entry = decode_entry(row.data)
    return entry.op == op or entry.facts.get("edits") == op


def members(fold: Fold, after: int, limit: int) -> list[tuple[str, str, int, int]]:
    """Members in order of joining, (user, role, joined at, nth), those after a `nth`."""
    rows = sorted((member.nth, user, member.role, member.at) for user, member in fold.members.items() if member.nth > after)
    return [(user, role, at, nth) for nth, user, role, at in rows[:limit]]


def rights(fold: Fold, users: Iterable[str]) -> dict[str, Any]:
    """`roles` of those of the users who are members, and what each of these roles may do (`granted`)."""
    roles = {user: fold.members[user].role for user in users if user in fold.members}
    return {"roles": roles, "granted": {role: named(capabilities(fold, role)) for role in sorted(set(roles.values()))}}


def _standing(fold: Fold, scope: Scope, *, own: bool) -> dict[str, Any]:
    if own:
        return {"role": "", "capabilities": []}
    if not fold.type or fold.deleted:
        raise Refused("not_found", "There is no such conversation.", field="c")
    if scope.is_application:
        return {"role": "", "capabilities": named(of_application(fold))}
    member = fold.members.get(scope.user)
    if member is None:
        code = stranger(fold)
        raise Refused(code, "There is no such conversation." if code == "not_found" else "", field="c")
    return {"role": member.role, "capabilities": named(capabilities(fold, member.role))}
