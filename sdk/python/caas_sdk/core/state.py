"""What a client knows: who one is, the rooms one watches, the list of conversations, who is there. Pure.

Pushes and results go in. What it wants to know besides goes out through `ask`, and what changed through `tell`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from caas_sdk import protocol
from caas_sdk.core import letters as written
from caas_sdk.core.catching_up import Ask, CatchingUp
from caas_sdk.core.inbox import Inbox
from caas_sdk.core.letters import Letters
from caas_sdk.core.message import Message
from caas_sdk.core.outbox import Call
from caas_sdk.core.outputs import Event
from caas_sdk.core.pointers import Pointers
from caas_sdk.core.results import RESULTS
from caas_sdk.core.room import Room
from caas_sdk.core.stream import Stream
from caas_sdk.errors import RETRYABLE, Disconnected

ME = "me"
_HISTORY = 50
_LIST_EVERY_S = 2.0
"""The list of conversations is asked for anew at most so often."""

Tell = Callable[[str, Any], None]


class State:
    """Everything that is known of the server's world."""

    def __init__(self, ask: Ask, tell: Tell, finish: Callable[[Call, dict[str, Any]], None]) -> None:
        self._ask, self._tell, self._finish = ask, tell, finish
        self.user: dict[str, Any] = {}
        self.rooms: dict[str, Room] = {}
        self.mine = Stream()
        self.inbox = Inbox()
        self.letters = Letters()
        self.pointers = Pointers()
        self.presence: dict[str, dict[str, Any]] = {}
        self.watching: dict[str, None] = {}
        """Users whose presence is watched."""
        self.changed: set[str] = set()
        self.catching_up = CatchingUp(ask, stream=self._stream, apply=self._durable, missed=self._missed, refuse=self.refuse)
        self._list_at = 0.0

    @property
    def me(self) -> str:
        """One's own user id; empty before the first `hello` was answered."""
        return str(self.user.get("id", ""))

    # --- the connection

    def resume(self, most: int) -> dict[str, dict[str, int]]:
        """What `hello` resumes: at most so many conversations."""
        watched = {c: room.stream.resume for c, room in self.rooms.items() if room.state == "in_room" and room.stream.seq is not None}
        mine = {ME: self.mine.resume} if self.mine.seq is not None else {}
        return dict([*mine.items(), *watched.items()][:most])

    def greeted(self, r: Mapping[str, Any], resumed: Iterable[str]) -> None:
        """`hello` was answered."""
        self.user = dict(r["user"])
        for room in self.rooms.values():
            room.belongs_to(self.me)
        self.inbox.stale = self.inbox.stale or self.inbox.loaded  # nobody told of what is not watched
        self._enter_mine(r["me"])
        for c, told in (r.get("conversations") or {}).items():
            self.watching_told(c, told)
        for c, room in self.rooms.items():
            if room.stream.seq is not None and room.state == "in_room" and c not in resumed:
                self._watch_again(room)
        users = list(self.watching)
        for begin in range(0, len(users), protocol.PRESENCE_WATCHED):
            self._ask("presence.watch", {"users": users[begin : begin + protocol.PRESENCE_WATCHED]}, "bound")
        self.touch("")

    def cut(self) -> None:
        """The connection is lost: nobody is seen typing, and what came too early comes again."""
        self.mine.interrupt()
        self.catching_up.cut()
        for room in self.rooms.values():
            room.begun_i = 0
            room.stream.interrupt()
            if room.typers.clear():
                self.touch(room.id)

    def watching_told(self, c: str, told: Mapping[str, Any]) -> None:
        """What `hello`, `conversation.watch` or `conversation.watching` says of a conversation."""
        room = self.rooms.get(c)
        if room is None or told.get("later"):
            return None
        self.touch(c)
        if code := told.get("error"):
            return self._watch_again(room) if RETRYABLE.get(code) else self.refuse(c, code)
        if room.stream.epoch not in (0, told["epoch"]):
            self.pointers.forget(c)
        if room.entered(told):
            self._load(room)
        for pointer in ("read", "delivered"):
            self.pointers.known(f"message.{pointer}", c, (told.get(pointer) or {}).get(self.me, 0))
        self.catching_up.look_for_hole(c, room.stream)
        return None

    # --- pushes

    def push(self, push: Mapping[str, Any], now: float, server_ms: int) -> None:
        """Take in a push."""
        c = push.get("c", "")
        if "s" not in push:
            return self._ephemeral(push, c, now, server_ms)
        return self.catching_up.take(c, push)

    def _durable(self, c: str, push: Mapping[str, Any]) -> None:
        t, p, at = push["t"], push.get("p") or {}, push.get("at", 0)
        if c == ME:
            self._personal(t, p)
        else:
            self._in_room(self.rooms[c], t, p, push)
        if t == "message.new" and c != ME:
            if (message := self.rooms[c].timeline.get(p["id"])) is not None:
                self._tell(t, message)
        elif t != "skip":
            self._tell(t, Event(t, c, p, push["s"], at))

    def _in_room(self, room: Room, t: str, p: Mapping[str, Any], push: Mapping[str, Any]) -> None:
        room.apply(push)
        self.touch(room.id)
        if t == "message.new":
            self._arrived(room, p, push)
        elif t in ("conversation.updated", "conversation.frozen"):
            self.inbox.changed(room.id, p)
        elif room.state == "left":
            self.inbox.left(room.id)
        self.ask_incomplete(room)

    def ask_incomplete(self, room: Room) -> None:
        """Ask for the messages that only the server can tell now."""
        for id_ in room.timeline.incomplete():
            self._ask("message.get", {"c": room.id, "id": id_}, "read").then(lambda call: self._refreshed(room, call))

    def _refreshed(self, room: Room, call: Call) -> None:
        room.timeline.refresh(call.p["id"], call.result.get("message"))
        self.ask_incomplete(room)
        self.touch(room.id)

    def _arrived(self, room: Room, p: Mapping[str, Any], push: Mapping[str, Any]) -> None:
        self.inbox.messaged(room.id, {**p, "seq": push["s"]}, self.me, push.get("at", 0))
        if p.get("sender") == self.me:
            self.told_back(p, push["s"])
        else:
            self.pointers.move("message.delivered", room.id, push["s"])
        self.touch("")

    def told_back(self, p: Mapping[str, Any], seq: int) -> None:
        """One's own message came: whatever its reply said, or will say, it is sent."""
        call = self.letters.take(p["id"])
        if call is not None:
            self._finish(call, {name: value for name, value in {**p, "seq": seq}.items() if name in ("id", "seq", "n", "sent_at")})

    def _personal(self, t: str, p: Mapping[str, Any]) -> None:
        c = p.get("conversation", "")
        if t == "mention.new":
            self.inbox.mentioned(c)
        elif t == "conversation.joined":
            self.inbox.joined(c)
            self._come_back(c)
        elif t == "conversation.left":
            self._went(c)
        elif t == "read.moved":
            for name, seq in (p.get("conversations") or {}).items():
                self.read_to(name, seq)
        elif t == "message.hidden":
            if c in self.rooms:
                self.rooms[c].timeline.hide(p["id"])
                self.touch(c)
        elif t == "setting.changed":
            self.inbox.settings[p["name"]] = p.get("value")
        elif t == "block.changed":
            (self.inbox.blocked.add if p.get("blocked") else self.inbox.blocked.discard)(p["user"])
        self.touch("")

    def _come_back(self, c: str) -> None:
        state = self.rooms[c].state if c in self.rooms else ""
        if state in ("error", "left"):
            room = self.join(c)
            room.was_left = state == "left"
            self._load_later(room)

    def _went(self, c: str) -> None:
        self.inbox.left(c)
        room = self.rooms.get(c)
        if room is not None and room.state != "left":
            self.refuse(c, "not_a_member")

    def _ephemeral(self, push: Mapping[str, Any], c: str, now: float, server_ms: int) -> None:
        t, p = push["t"], push.get("p") or {}
        room = self.rooms.get(c)
        if t == "heads":
            self.catching_up.heads(p.get("epoch", 0), p.get("conversations") or {}, now)
        elif t == "conversation.watching":
            self.watching_told(c, p)
        elif t == "presence.changed":
            self.presence[p["user"]] = dict(p)
            self.touch("")
        elif t == "notice.message":
            self._noticed(c, p, server_ms)
        elif room is not None:
            if t == "typing.started" and p.get("user") == self.me:
                return None  # one types elsewhere
            if room.heard(t, p, now):
                self.touch(c)
            if t == "message.read" and p.get("user") == self.me:
                self.read_to(c, p["seq"])
        return self._tell(t, Event(t, c, p))

    def _noticed(self, c: str, p: Mapping[str, Any], server_ms: int) -> None:
        self.inbox.noticed(c, p["seq"], p["n"], p.get("sender", ""), self.me, server_ms)
        if p.get("sender") != self.me:
            self.pointers.move("message.delivered", c, p["seq"])
        self.touch("")

    # --- results

    def asked(self, call: Call) -> None:
        """A call has begun."""
        if call.command == "conversation.list":
            self.inbox.asked += 1

    def answered(self, call: Call) -> None:
        """Take in what a call was answered with."""
        if call.command == "conversation.list":
            self.inbox.asked -= 1
        if call.error is None:
            if rule := RESULTS.get(call.command):
                rule(self, call, call.result)
        elif call.command == "conversation.watch" and not (call.kind == "bound" and isinstance(call.error, Disconnected)):
            self.refuse(call.p["c"], call.error.code)

    def sent(self, call: Call) -> None:
        """A message was answered: it has its place."""
        room, r = self.rooms.get(call.p["c"]), call.result
        self.letters.take(call.p["id"])
        if room is not None and room.state == "in_room" and "seq" in r:
            room.timeline.confirm(written.placed(call, r, self.me), told=r["seq"] <= (room.stream.seq or 0))
            self.ask_incomplete(room)
        if "n" in r and call.p["c"] in self.inbox.rows:
            self.inbox.noticed(call.p["c"], r["seq"], r["n"], self.me, self.me, r.get("sent_at", 0))
        self.touch(call.p["c"])
        self.touch("")

    def read_to(self, c: str, seq: int) -> None:
        """One has read a conversation up to a place, on whatever device."""
        room = self.rooms.get(c)
        n = None
        if room is not None:
            room.moved("read", self.me, seq)
            n = max((message.n for message in room.timeline.all() if message.n and message.seq <= seq), default=None)
            self.touch(c)
        self.inbox.read(c, seq, n)
        self.pointers.known("message.delivered", c, seq)
        self.touch("")

    def show(self, c: str, thread: str | None = None) -> list[Message]:
        """The messages of a conversation as people see them, with what is not sent yet."""
        letters = self.letters.of(c, self.me)
        return self.rooms[c].show(letters, thread) if c in self.rooms else [one for one in letters if one.thread == thread]

    def touch(self, c: str) -> None:
        """What is shown of a conversation (or of the list: empty) has changed."""
        self.changed.add(c)

    # --- time

    def tick(self, now: float, *, up: bool) -> None:
        """Who typed and went silent; while connected: heads that pushes have not reached, a list that is out of date."""
        for room in self.rooms.values():
            if room.typers.tick(now):
                self.touch(room.id)
        if up:
            self._look_after(now)

    def _look_after(self, now: float) -> None:
        self.catching_up.tick(now)
        if self._wants_list and now >= self._list_at:
            self._list_at = now + _LIST_EVERY_S
            self.inbox.stale = False
            self._ask("conversation.list", {"limit": 100}, "bound")

    def next_at(self, now: float, *, up: bool) -> float | None:
        """When to look again."""
        moments = [at for room in self.rooms.values() if (at := room.typers.next_at()) is not None]
        if up and (at := self.catching_up.next_at()) is not None:
            moments.append(at)
        if up and self._wants_list:
            moments.append(max(now, self._list_at))
        return min(moments, default=None)

    @property
    def _wants_list(self) -> bool:
        return self.inbox.stale and self.inbox.loaded and not self.inbox.asked

    # --- rooms, and one's own conversation

    def join(self, c: str) -> Room:
        """One wants to be in a room: the one that is there, or a new one."""
        room = self.rooms.get(c)
        if room is None or room.state in ("error", "left"):
            room = self.rooms[c] = Room(c, self.me)
            self.touch(c)
        return room

    def refuse(self, c: str, code: str) -> None:
        """One may not be in this room."""
        if c in self.rooms:
            self.rooms[c].refused(code)
            self.touch(c)

    def _missed(self, c: str, gap: Mapping[str, int], epoch: int) -> None:
        if c == ME:
            self.mine.skip_to(gap["to"])
            self.inbox.anew()
        elif self.rooms[c].missed(gap, epoch):
            self._load(self.rooms[c])
        self.touch(c)

    def _enter_mine(self, told: Mapping[str, Any]) -> None:
        if self.mine.seq is None:
            self.mine.begin(told["head"], told["epoch"])
        if gap := told.get("gap"):
            self._missed(ME, gap, told["epoch"])
        self.mine.epoch = told["epoch"]

    def _load(self, room: Room) -> None:
        room.wants_page = True
        self._ask("message.list", {"c": room.id, "limit": _HISTORY}, "bound")

    def _load_later(self, room: Room) -> None:
        room.wants_page = True
        self._ask("conversation.watch", {"c": room.id}, "read")

    def _watch_again(self, room: Room) -> None:
        seen = {} if room.stream.seq is None else {"after": room.stream.seq, "epoch": room.stream.epoch}
        self._ask("conversation.watch", {"c": room.id, **seen}, "bound")

    def _stream(self, c: str) -> Stream | None:
        if c == ME:
            return self.mine
        return self.rooms[c].stream if c in self.rooms else None
