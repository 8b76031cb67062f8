"""Conversations, entries and members as the wire shows them. Pure."""

from collections.abc import Mapping
from typing import Any

from services.acts import Act
from services.deciding import Fold
from storage.ports.entry import Entry

ABOUT = ("name", "description", "photo_url", "custom")


def conversation_object(conversation: str, head: Mapping[str, Any]) -> dict[str, Any]:
    """The conversation, from its head."""
    shown = {"id": conversation, "type": head["type"], "access": head["access"], **head["about"], "created_at": head["created"],
             "updated_at": head["updated"], "member_count": head["member_count"], "head": head["seq"]}
    if head["created_by"]:
        shown["created_by"] = head["created_by"]
    if head["frozen"]:
        shown["frozen"] = True
    return shown


def render_created(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """`conversation.created`: the conversation as it began."""
    facts = entry.facts
    shown = {"id": entry.conversation, "type": facts["type"], "access": facts["access"], **facts["about"], "created_at": entry.at,
             "updated_at": entry.at, "member_count": len(facts["members"]), "head": seq}
    if facts["by"]:
        shown["created_by"] = facts["by"]
    return {"conversation": shown, **body}


def trim_added(fold: Fold, act: Act) -> Act | None:
    """Only those who are not there yet; nothing when all are."""
    pairs = [(user, shown) for user, shown in zip(act.facts["users"], act.body["users"], strict=True) if user not in fold.members]
    if len(pairs) == len(act.facts["users"]):
        return act
    facts, body = {**act.facts, "users": [user for user, _ in pairs]}, {**act.body, "users": [shown for _, shown in pairs]}
    return _with(act, facts, body) if pairs else None


def trim_removed(fold: Fold, act: Act) -> Act | None:
    """Nothing when the user is not there."""
    return act if act.facts["user"] in fold.members else None


def _with(act: Act, facts: dict[str, Any], body: dict[str, Any]) -> Act:
    return Act(act.conversation, act.kind, act.op, act.digest, facts, body, act.actor, act.external, act.after)
