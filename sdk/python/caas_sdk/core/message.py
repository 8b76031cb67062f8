"""A message, as people see it. Frozen: what changes is a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from caas_sdk.errors import CaasError

Status = Literal["sending", "failed", "sent", "delivered", "read"]
"""`sending` and `failed` are known here alone; `sent` is durable; the others tell how far somebody else has got."""

FIRST_USERS = 5
"""So many users of a reaction are shown."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """One emoji on a message. `users` are those known, in order of reacting; `count` may be larger."""

    count: int
    users: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Times are ms since 1970; `seq` and `n` are 0 while it has no place yet; a deleted one has no content."""

    id: str
    conversation: str
    sender: str
    seq: int = 0
    n: int = 0
    type: str = "text"
    text: str | None = None
    attachments: tuple[Mapping[str, Any], ...] = ()
    mentions: tuple[str, ...] = ()
    mention_all: bool = False
    reply_to: str | None = None
    thread: str | None = None
    custom: Mapping[str, Any] | None = None
    silent: bool = False
    sent_at: int = 0
    edited_at: int | None = None
    deleted_at: int | None = None
    pinned: bool = False
    reactions: Mapping[str, Reaction] = field(default_factory=dict)
    status: Status = "sent"
    error: CaasError | None = None
    """Why it failed."""
    provisional: bool = False
    """Known from the reply to one's own send; its push will tell it as the server has it."""

    @property
    def deleted(self) -> bool:
        """Whether only its place is left."""
        return self.deleted_at is not None


CHANGEABLE = ("text", "attachments", "mentions", "mention_all", "custom")
_NAMES = {one.name for one in fields(Message)} - {"conversation", "status", "error", "provisional"}
_EMPTY: dict[str, Any] = {"attachments": (), "mentions": (), "mention_all": False}


def from_wire(conversation: str, p: Mapping[str, Any], me: str) -> Message:
    """A message of a page or a push. Fields that are not known here are ignored."""
    known = {name: value for name, value in p.items() if name in _NAMES and value is not None}
    for name in ("attachments", "mentions"):
        if name in known:
            known[name] = tuple(known[name])
    known["pinned"] = bool(known.get("pinned"))
    known["reactions"] = {emoji: _reaction(one, me) for emoji, one in (known.get("reactions") or {}).items()}
    return Message(conversation=conversation, **known)


def to_wire(message: Message) -> dict[str, Any]:
    """The message as `message.list` would show it to this user."""
    shown: dict[str, Any] = {}
    for name in ("id", "seq", "n", "sender", "type", "text", "attachments", "mentions", "mention_all", "reply_to", "thread", "custom", "silent",
                 "sent_at", "edited_at", "deleted_at", "pinned"):
        value = getattr(message, name)
        if value or (value is not None and name in ("seq", "text", "custom", "sent_at")):
            shown[name] = list(value) if isinstance(value, tuple) else value
    if message.reactions:
        shown["reactions"] = {emoji: _shown_reaction(one) for emoji, one in message.reactions.items()}
    return shown


def changed(message: Message, p: Mapping[str, Any]) -> Message:
    """After an edit: null cleared a field, an absent one is as it was. A deleted message stays as it is."""
    if message.deleted:
        return message
    values = {name: p[name] for name in CHANGEABLE if name in p}
    for name, value in values.items():
        values[name] = _EMPTY.get(name) if value is None else tuple(value) if name in ("attachments", "mentions") else value
    return replace(message, **values, edited_at=p.get("edited_at", message.edited_at))


def tombstone(message: Message, deleted_at: int) -> Message:
    """What is left of it."""
    return Message(id=message.id, conversation=message.conversation, sender=message.sender, seq=message.seq, n=message.n, type=message.type,
                   thread=message.thread, sent_at=message.sent_at, deleted_at=deleted_at)


def reacted(message: Message, emoji: str, user: str, me: str, count: int | None) -> Message:
    """With one more reaction. `count` is the server's hint, needed where not everybody who reacted is known."""
    one = message.reactions.get(emoji, Reaction(0))
    if message.deleted or user in one.users or (user == me and one.own):
        return message
    whole = one.count == len(one.users)
    told = one.count + 1 if whole or count is None else count
    return _with(message, emoji, Reaction(max(told, 1), (*one.users, user) if whole else one.users, one.own or user == me))


def unreacted(message: Message, emoji: str, user: str, me: str, count: int | None) -> Message:
    """With one reaction less."""
    one = message.reactions.get(emoji)
    if message.deleted or one is None or (one.count == len(one.users) and user not in one.users):
        return message
    whole = one.count == len(one.users)
    told = one.count - 1 if whole or count is None else count
    users = tuple(other for other in one.users if other != user)
    return _with(message, emoji, Reaction(max(told, len(users)), users, one.own and user != me))


def unsure(before: Message, after: Message, p: Mapping[str, Any]) -> bool:
    """Whether only the server can tell the reactions now: one of the first users is missing, or nobody knows the count."""
    if any(len(one.users) < min(one.count, FIRST_USERS) for one in after.reactions.values()):
        return True
    one = before.reactions.get(p.get("emoji", ""))
    return one is not None and one.count > len(one.users) and p.get("count") is None


def _with(message: Message, emoji: str, one: Reaction) -> Message:
    reactions = {**message.reactions, emoji: one}
    if one.count < 1:
        del reactions[emoji]
    return replace(message, reactions=reactions)


def _reaction(one: Mapping[str, Any], me: str) -> Reaction:
    users = tuple(one.get("users") or ())
    return Reaction(int(one.get("count", len(users))), users, bool(one.get("own", me in users)))


def _shown_reaction(one: Reaction) -> dict[str, Any]:
    shown: dict[str, Any] = {"count": one.count, "users": list(one.users[:FIRST_USERS])}
    return {**shown, "own": True} if one.own else shown
