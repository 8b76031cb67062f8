"""Acts besides sending, each of which says what no other act says, so that it is known again in the log.

A client acts on its own messages alone, one act after the other in each conversation: so what it is refused would be a fault.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Map = dict[str, Any]

KINDS = ("message.edit", "message.edit", "reaction.add", "reaction.add", "reaction.remove", "message.pin", "message.unpin", "message.delete")
OWNERS = "conversation.update"
"""What only the conversation's owner does besides: and letting guests in, raising them and showing them out, each once."""
GUESTS = tuple(f"guest-{number}" for number in range(60))
MOST_REACTIONS = 40


@dataclass(slots=True)
class Done:
    """What a client has made of one of its messages."""

    id: str
    edits: int = 0
    reactions: int = 0
    on: list[str] = field(default_factory=list)
    pinned: int = 0
    """0: never; 1: now; 2: not any more."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act: the command, and what it is known by in the log."""

    command: str
    p: Map
    id: str
    text: str


class Acts:
    """What one client makes of its messages in one conversation."""

    def __init__(self, user: str, conversation: str, chance: random.Random, *, owner: bool, guests: Sequence[str] = GUESTS,
                 inside: Sequence[str] = (), spared: int = 5) -> None:
        """`guests`: whom the owner may let in; `inside`: who is in already, and may be shown out. So many of their messages nobody deletes."""
        self._user, self._conversation, self._chance, self._owner = user, conversation, chance, owner
        self._messages: list[Done] = []
        self._updates, self._spared = 0, spared
        self._guests = list(guests)
        self._inside = list(inside)
        self._raised: set[str] = set()

    def said(self, id: str) -> None:
        """A message was acknowledged: it can be acted upon."""
        self._messages.append(Done(id))
        del self._messages[:-20]

    def next(self, op: str) -> Act | None:
        """Something to do; None when there is nothing to act upon yet."""
        if not self._messages:
            return None
        if self._owner and self._chance.random() < 0.3:
            command, said = self._of_owner()
            return Act(command, {"c": self._conversation, "op": op, **said}, *known_by(PUSHES[command], said))
        done, kind = self._chance.choice(self._messages), self._chance.choice(KINDS)
        more = self._said(done, kind)
        if more is None:
            return None
        p = {"c": self._conversation, "id": done.id, "op": op, **more}
        return Act(kind, p, *known_by(PUSHES[kind], {"id": done.id, **more}))

    def _of_owner(self) -> tuple[str, Map]:
        what = self._chance.choice((OWNERS, "member.add", "member.update", "member.remove"))
        if what == "member.add" and self._guests:
            self._inside.append(self._guests.pop())
            return what, {"users": [self._inside[-1]]}
        if what == "member.update" and self._inside and self._inside[-1] not in self._raised:
            self._raised.add(self._inside[-1])
            return what, {"user": self._inside[-1], "role": "admin"}
        if what == "member.remove" and self._inside:
            return what, {"user": self._inside.pop()}
        self._updates += 1
        return OWNERS, {"description": f"{self._user}'s {self._updates}"}

    def _said(self, done: Done, kind: str) -> Map | None:
        if kind == "message.edit":
            done.edits += 1
            return {"text": f"{self._user} edits {done.id} {done.edits}"}
        if kind == "reaction.add" and done.reactions < MOST_REACTIONS:
            done.reactions += 1
            done.on.append(f"r{done.reactions}")
            return {"emoji": done.on[-1]}
        if kind == "reaction.remove" and done.on:
            return {"emoji": done.on.pop()}
        if (kind, done.pinned) in (("message.pin", 0), ("message.unpin", 1)):
            done.pinned += 1
            return {}
        if kind == "message.delete" and len(self._messages) > self._spared:
            self._messages.remove(done)
            return {}
        return None


PUSHES = {"message.edit": "message.updated", "reaction.add": "reaction.added", "reaction.remove": "reaction.removed", "message.pin": "message.pinned",
          "message.unpin": "message.unpinned", "message.delete": "message.deleted", OWNERS: "conversation.updated",
          "member.add": "member.added", "member.update": "member.updated", "member.remove": "member.removed"}


def known_by(push: str, p: Map) -> tuple[str, str]:
    """An act's id and content, from what its push says; two empty texts for pushes that are no such act."""
    if push not in PUSHES.values():
        return "", ""
    what = p.get("emoji") or p.get("text") or p.get("description") or p.get("user") or "".join(p.get("users", ())) or ""
    return f"{push} {p.get('id', '')} {what}".strip(), what or "-"


def folded(pushes: list[Map]) -> dict[str, Map]:
    """What the messages of a conversation must read as after these entries: by id, (text, reactions, pinned) or gone."""
    messages: dict[str, Map] = {}
    for push in pushes:
        p, t = push.get("p", {}), push["t"]
        if t == "message.new":
            messages[p["id"]] = {"gone": "deleted_at" in p, "text": p.get("text"), "reactions": {}, "pinned": False}
        one = messages.get(p.get("id", ""))
        if one is None or one["gone"]:
            continue
        if t == "message.updated":
            one["text"] = p["text"]
        elif t == "reaction.added":
            one["reactions"].setdefault(p["emoji"], []).append(p["user"])
        elif t == "reaction.removed":
            one["reactions"][p["emoji"]].remove(p["user"])
        elif t in ("message.pinned", "message.unpinned"):
            one["pinned"] = t == "message.pinned"
    return {id: {**one, "reactions": {emoji: users for emoji, users in one["reactions"].items() if users}} for id, one in messages.items()}


def as_folded(message: Map) -> Map:
    """A message of `message.list`, in the same terms."""
    gone = "deleted_at" in message
    reactions = {emoji: one["users"] for emoji, one in message.get("reactions", {}).items()}
    return {"gone": gone, "text": message.get("text"), "reactions": reactions, "pinned": message.get("pinned", False)}
