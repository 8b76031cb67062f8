"""One conversation that is watched: its messages, who has read how far, who types. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from caas_sdk.core.message import Message, Status
from caas_sdk.core.stream import Stream
from caas_sdk.core.timeline import Timeline
from caas_sdk.core.typing import Typer, Typers

RoomState = Literal["joining", "in_room", "error", "left"]
"""As the specification draws it. `left`: one is no longer a member, or the conversation was deleted."""

_ABOUT = ("name", "description", "photo_url", "custom")


class Room:
    """What a client knows of one conversation that it watches."""

    def __init__(self, id_: str, me: str) -> None:
        self.id, self.me = id_, me
        self.state: RoomState = "joining"
        self.error = ""
        """The code that kept one out."""
        self.was_left = False
        """One was shown out of it, and tries again because one is told to have been let in: that may be old news."""
        self.stream = Stream()
        self.timeline = Timeline(id_, me)
        self.typers = Typers()
        self.conversation: dict[str, Any] = {"id": id_}
        self.role = ""
        self.capabilities: frozenset[str] = frozenset()
        self.begun_i = 0
        """The `i` of the watch that began it, on this connection: what was asked before it is too old to be kept."""
        self.wants_page = False
        """What is shown has to be loaded anew: it is asked for, again on the next connection, until it is there."""
        self.read: dict[str, int] = {}
        self.delivered: dict[str, int] = {}

    def belongs_to(self, me: str) -> None:
        """Who one is, which a room that was wanted before the first `hello` does not know."""
        self.me = self.timeline.me = me

    def entered(self, watched: Mapping[str, Any]) -> bool:
        """The reply to `conversation.watch`, or what `hello` says of it. Whether history has to be loaded anew."""
        self.state, self.error, self.was_left = "in_room", "", False
        anew = self.missed(watched.get("gap"), watched["epoch"])
        self.describe(watched)
        for name in ("read", "delivered"):
            pointers: dict[str, int] = getattr(self, name)
            for user, seq in (watched.get(name) or {}).items():
                pointers[user] = max(seq, pointers.get(user, 0))
        if self.stream.seq is None:
            self.stream.begin(watched["head"], watched["epoch"])
        return anew or self.wants_page

    def describe(self, told: Mapping[str, Any]) -> None:
        """The conversation, one's role and what one may do there, where they are told."""
        if told.get("conversation", {}).get("head", 0) < self.conversation.get("head", 0) and "conversation" in told:
            return  # pushes have told more since
        if "conversation" in told:
            self.conversation = dict(told["conversation"])
        if "capabilities" in told:
            self.capabilities = frozenset(told["capabilities"])
            self.role = told.get("role", self.role)

    def missed(self, gap: Mapping[str, int] | None, epoch: int) -> bool:
        """What lies in a gap is gone for good; in another epoch, all that was known is. Whether history has to be loaded anew."""
        if gap is None or self.stream.seq is None:
            return False
        loaded, lost = self.timeline.loaded, epoch != self.stream.epoch
        self.stream.skip_to(gap["to"])
        self.stream.epoch = epoch
        self.timeline.drop(None if lost else gap["to"])
        if lost:
            self.read, self.delivered = {}, {}
            self.conversation["head"] = 0
        return loaded

    def refused(self, code: str) -> None:
        """One may not be here, or not any more."""
        self.state, self.error = "left" if self.was_left else "error", code
        self.typers.clear()

    def apply(self, push: Mapping[str, Any]) -> Message | None:
        """Take in a durable push whose turn it is; the message that it is about, as it is now."""
        t, p = push["t"], push.get("p") or {}
        if t == "message.new":
            self.typers.stopped(p.get("sender", ""))
        if push["s"] > self.conversation.get("head", 0):  # otherwise it is in what was told of the conversation
            self.conversation["head"] = push["s"]
            if rule := _RULES.get(t):
                rule(self, p)
        return self.timeline.apply(push)

    def heard(self, t: str, p: Mapping[str, Any], now: float) -> bool:
        """Take in an ephemeral push. Whether anything changed."""
        if t == "typing.started":
            return self.typers.started(Typer(p["user"], p.get("kind", "text"), p.get("thread")), now)
        if t == "typing.stopped":
            return self.typers.stopped(p["user"])
        if t in ("message.read", "message.delivered"):
            return self.moved(t.removeprefix("message."), p["user"], p["seq"])
        if t == "capabilities.changed":
            self.describe(p)
            return True
        return False

    def moved(self, pointer: str, user: str, seq: int) -> bool:
        """Somebody's pointer has moved. Whether it is further than it was known to be."""
        pointers = self.read if pointer == "read" else self.delivered
        if seq <= pointers.get(user, 0):
            return False
        pointers[user] = seq
        return True

    def show(self, letters: Iterable[Message] = (), thread: str | None = None) -> list[Message]:
        """The messages as people see them, oldest first: what has its place, then what is not sent yet."""
        placed = self.timeline.messages() if thread is None else self.timeline.thread(thread)
        return [replace(message, status=self.status(message)) for message in placed] + [one for one in letters if one.thread == thread]

    def status(self, message: Message) -> Status:
        """How far a message has got: the furthest of anybody but its sender."""
        if message.status != "sent":
            return message.status
        for status, pointers in (("read", self.read), ("delivered", self.delivered)):
            if any(seq >= message.seq for user, seq in pointers.items() if user != message.sender):
                return "read" if status == "read" else "delivered"
        return "sent"

    def readers(self, message: Message) -> list[str]:
        """Who has read a message, its sender aside."""
        return sorted(user for user, seq in self.read.items() if seq >= message.seq and user != message.sender)

    def _count(self, more: int) -> None:
        if "member_count" in self.conversation:
            self.conversation["member_count"] += more


def _created(room: Room, p: Mapping[str, Any]) -> None:
    room.conversation = {**room.conversation, **(p.get("conversation") or {}), "head": room.conversation["head"]}


def _updated(room: Room, p: Mapping[str, Any]) -> None:
    for name in _ABOUT:
        if name in p:
            room.conversation[name] = p[name]
            if p[name] is None:
                del room.conversation[name]


def _frozen(room: Room, p: Mapping[str, Any]) -> None:
    room.conversation["frozen"] = bool(p.get("frozen"))
    if not p.get("frozen"):
        del room.conversation["frozen"]


def _joined(room: Room, p: Mapping[str, Any]) -> None:
    room._count(len(p.get("users") or ()))
    if room.me in (p.get("users") or ()) and room.state == "left":
        room.state, room.error = "in_room", ""


def _removed(room: Room, p: Mapping[str, Any]) -> None:
    user = p.get("user", "")
    room._count(-1)
    room.typers.stopped(user)
    room.read.pop(user, None)
    room.delivered.pop(user, None)
    if user == room.me:
        room.state, room.error = "left", "not_a_member"


def _role(room: Room, p: Mapping[str, Any]) -> None:
    if p.get("user") == room.me:
        room.role = p.get("role", room.role)


def _deleted(room: Room, p: Mapping[str, Any]) -> None:
    room.state, room.error = "left", "not_found"


_RULES = {
    "conversation.created": _created, "conversation.updated": _updated, "conversation.frozen": _frozen, "conversation.deleted": _deleted,
    "member.added": _joined, "member.removed": _removed, "member.updated": _role,
}
