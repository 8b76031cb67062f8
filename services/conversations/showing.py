"""Conversations, entries and members as the wire shows them. Pure."""

from collections.abc import Mapping
from typing import Any

from storage.ports.entry import Entry


def conversation_object(conversation: str, head: Mapping[str, Any]) -> dict[str, Any]:
    """The conversation, from its head."""
    shown = {"id": conversation, "type": head["type"], "access": head["access"], **head["about"], "created_at": head["created"],
             "updated_at": head["updated"], "member_count": head["member_count"], "head": head["seq"]}
    if head["created_by"]:
        shown["created_by"] = head["created_by"]
    if head["frozen"]:
        shown["frozen"] = True
    return shown


def created_object(conversation: str, facts: Mapping[str, Any], at: int, seq: int) -> dict[str, Any]:
    """The conversation as it began, from the facts of its first entry."""
    return conversation_object(conversation, {**facts, "created": at, "updated": at, "member_count": len(facts["members"]), "seq": seq,
                                              "created_by": facts["by"], "frozen": False})


def render_created(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """`conversation.created`: the conversation as it began."""
    return {"conversation": created_object(entry.conversation, entry.facts, entry.at, seq), **body}


def render_updated(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """`conversation.updated`: the fields that changed; null where one was cleared."""
    return {**entry.facts["about"], **body}


def render_frozen(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """`conversation.frozen`."""
    return {"frozen": entry.facts["frozen"], **body}


def render_role(entry: Entry, seq: int, n: int, body: dict[str, Any]) -> dict[str, Any]:
    """`member.updated`."""
    return {"role": entry.facts["role"], **body}
