"""The conversations' part of the fold: created, changed, frozen, deleted; the floor rising. Pure and total.

Who belongs to one is in `members.py` beside this.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.acts import Act
from services.conversations.members import KINDS as MEMBERS
from services.conversations.members import join, membership
from services.conversations.model import ABOUT, ACCESS, TYPES
from services.conversations.showing import render_created, render_frozen, render_updated
from services.deciding import Decision, Fold, Said
from services.kinds import EVERYBODY, Kind, Kinds, Touched
from services.rights import ROLES, allowed
from storage.ports.entry import Entry
from storage.ports.log import Change


def decide_created(fold: Fold, said: Said) -> Decision:
    """A conversation begins with this entry, once; one that was deleted does not begin again."""
    facts = said.facts
    rows: list[tuple[str, str]] = [(user, role) for user, role in facts["members"]]
    if fold.seq:
        return Decision("id_conflict")
    if facts["type"] not in TYPES or facts["access"] not in ACCESS or not all(role in ROLES for _, role in rows):
        return Decision("bad_request")
    kind, access, about, creator = facts["type"], facts["access"], dict(facts["about"]), str(facts["by"])

    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.type, fold.access, fold.about = kind, access, about
        fold.created_by, fold.created, fold.updated = creator, entry.at, entry.at
        return join(fold, entry, rows)

    return Decision(change=change)


def decide_updated(fold: Fold, said: Said) -> Decision:
    """What is told of it changes; None clears. Two people's conversation has no name."""
    about: dict[str, Any] = dict(said.facts["about"])
    if refusal := allowed(fold, said.actor, "update"):
        return Decision(refusal)
    if not about.keys() <= set(ABOUT) or (fold.type == "direct" and about.get("name") is not None):
        return Decision("bad_request")

    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.about = {name: value for name, value in (fold.about | about).items() if value is not None}
        fold.updated = entry.at
        return ()

    return Decision(change=change)


def decide_frozen(fold: Fold, said: Said) -> Decision:
    """Nobody sends, edits or reacts while it is frozen."""
    frozen: bool = said.facts["frozen"]
    if refusal := allowed(fold, said.actor, "freeze"):
        return Decision(refusal)

    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.frozen, fold.updated, fold.rights = frozen, entry.at, fold.seq
        return ()

    return Decision(change=change) if type(frozen) is bool else Decision("bad_request")


def decide_deleted(fold: Fold, said: Said) -> Decision:
    """It ends: to everybody there is nothing any more. Whoever was a member stays written down, so that all can be told."""
    if refusal := allowed(fold, said.actor, "delete"):
        return Decision(refusal)

    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.deleted, fold.updated, fold.rights = True, entry.at, fold.seq
        return [membership(entry.tenant, entry.conversation, user, None, fold) for user in fold.members]

    return Decision(change=change)


def decide_floor(fold: Fold, said: Said) -> Decision:
    """Retention has removed even the stubs up to a seq; ids made before `at` are refused from now on."""
    seq, at = int(said.facts["seq"]), int(said.facts["at"])
    if said.actor or seq > fold.seq:
        return Decision("forbidden")

    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.floor_seq, fold.floor_at = max(fold.floor_seq, seq), max(fold.floor_at, at)
        return ()

    return Decision(change=change)


def decide_server_alone(fold: Fold, said: Said) -> Decision:
    """What only the server makes, in a personal or the application's conversation: nothing refuses it."""
    return Decision()


def trim_updated(fold: Fold, act: Act) -> Act | None:
    """Only the fields that are others now; nothing when all are as they were said."""
    about = {name: value for name, value in act.facts["about"].items() if not _same(fold.about.get(name), value)}
    return msgspec.structs.replace(act, facts={"about": about}) if about else None


def trim_frozen(fold: Fold, act: Act) -> Act | None:
    """Nothing when it is so already."""
    return None if act.facts["frozen"] == fold.frozen else act


def _same(one: Any, other: Any) -> bool:
    """As the wire has them: 1 is neither true nor 1.0, and the order of keys says nothing."""
    return _encode(one) == _encode(other)


_encode = msgspec.msgpack.Encoder(order="deterministic").encode

KINDS: Kinds = {
    "conversation.created": Kind("conversation.created", decide_created, render_created),
    "conversation.updated": Kind("conversation.updated", decide_updated, render_updated, trim_updated),
    "conversation.frozen": Kind("conversation.frozen", decide_frozen, render_frozen, trim_frozen, touches=lambda entry: Touched(rights=EVERYBODY)),
    "conversation.deleted": Kind("conversation.deleted", decide_deleted, touches=lambda entry: Touched(ended=EVERYBODY)),
    "floor.raised": Kind("skip", decide_floor),
    "conversation.joined": Kind("conversation.joined", decide_server_alone, alone=False),
    "conversation.left": Kind("conversation.left", decide_server_alone, alone=False),
    "invite.new": Kind("invite.new", decide_server_alone, alone=False),
    **MEMBERS,
}
