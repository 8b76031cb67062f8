"""What a client knows: who one is, the rooms one watches, the list of conversations, who is there. Pure.

Pushes and results go in. What it wants to know besides goes out through `ask`, and what changed through `tell`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from caas_sdk import protocol
from caas_sdk.core import letters as written
from caas_sdk.core.inbox import Inbox
from caas_sdk.core.letters import Letters
from caas_sdk.core.message import Message
from caas_sdk.core.outbox import Call, Kind
from caas_sdk.core.outputs import Event
from caas_sdk.core.pointers import Pointers
from caas_sdk.core.room import Room
from caas_sdk.core.stream import Stream
from caas_sdk.errors import RETRYABLE, CaasError, Disconnected

ME = "me"
_HISTORY = 50
_LIST_EVERY_S = 2.0
"""The list of conversations is asked for anew at most so often."""

Ask = Callable[[str, dict[str, Any], Kind], Call]
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
        self._behind: dict[str, tuple[int, float]] = {}
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
        self._behind.clear()
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
            return self._watch_again(room) if RETRYABLE.get(code) else self.refuse(room, code)
        if room.stream.epoch not in (0, told["epoch"]):
            self.pointers.forget(c)
        if room.entered(told):
            self._load(room)
        for pointer in ("read", "delivered"):
            self.pointers.known(f"message.{pointer}", c, (told.get(pointer) or {}).get(self.me, 0))
        self._repair_if_hole(c, room.stream)
        return None

    def refuse(self, room: Room, code: str) -> None:
        """One may not be in this room."""
        room.refused(code)
        self.touch(room.id)

    # --- pushes

    def push(self, push: Mapping[str, Any], now: float, server_ms: int) -> None:
        """Take in a push."""
        c = push.get("c", "")
        if "s" not in push:
            return self._ephemeral(push, c, now, server_ms)
        stream = self._stream(c)
        if stream is None:
            return None
        for ready in stream.take(push):
            self._durable(c, ready)
        return self._repair_if_hole(c, stream)

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

    def _went(self, c: str) -> None:
        self.inbox.left(c)
        room = self.rooms.get(c)
        if room is not None and room.state != "left":
            self.refuse(room, "not_a_member")

    def _ephemeral(self, push: Mapping[str, Any], c: str, now: float, server_ms: int) -> None:
        t, p = push["t"], push.get("p") or {}
        room = self.rooms.get(c)
        if t == "heads":
            self._heads(p.get("epoch", 0), p.get("conversations") or {}, now)
        elif t == "conversation.watching":
            self.watching_told(c, p)
        elif t == "presence.changed":
            self.presence[p["user"]] = dict(p)
            self.touch("")
        elif t == "notice.message":
            self._noticed(c, p, server_ms)
        elif room is not None:
            if room.heard(t, p, now):
                self.touch(c)
            if t == "message.read" and p.get("user") == self.me:
                self.read_to(c, p["seq"])
        self._tell(t, Event(t, c, p))

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
        if call.error is not None:
            return self._failed(call, call.error)
        rule = _RESULTS.get(call.command)
        return None if rule is None else rule(self, call, call.result)

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

    def join(self, c: str) -> Room:
        """One wants to be in a room: the one that is there, or a new one."""
        room = self.rooms.get(c)
        if room is None or room.state in ("error", "left"):
            room = self.rooms[c] = Room(c, self.me)
            self.touch(c)
        return room

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
        for c, (head, at) in list(self._behind.items()):
            if now >= at:
                del self._behind[c]
                stream = self._stream(c)
                if stream is not None and (stream.seq or 0) < head:
                    self._repair(c, stream)
        if self._wants_list and now >= self._list_at:
            self._list_at = now + _LIST_EVERY_S
            self.inbox.stale = False
            self._ask("conversation.list", {"limit": 100}, "bound")

    def next_at(self, now: float, *, up: bool) -> float | None:
        """When to look again."""
        moments = [at for room in self.rooms.values() if (at := room.typers.next_at()) is not None]
        moments += [at for _, at in self._behind.values()] if up else []
        if up and self._wants_list:
            moments.append(max(now, self._list_at))
        return min(moments, default=None)

    @property
    def _wants_list(self) -> bool:
        return self.inbox.stale and self.inbox.loaded and not self.inbox.asked

    # --- catching up

    def _heads(self, epoch: int, heads: Mapping[str, int], now: float) -> None:
        for c, head in heads.items():
            stream = self._stream(c)
            if stream is None or stream.seq is None:
                continue
            if epoch != stream.epoch:
                self._repair(c, stream)
            elif stream.seq < head:
                self._behind[c] = (head, now + protocol.HEADS_GRACE_S)

    def _repair_if_hole(self, c: str, stream: Stream) -> None:
        if stream.hole:
            self._repair(c, stream)

    def _repair(self, c: str, stream: Stream) -> None:
        if stream.repairing or stream.seq is None:
            return
        stream.repairing = True
        self._ask("conversation.sync", {"c": c, "after": stream.seq, "epoch": stream.epoch}, "bound").then(lambda call: self._synced(c, stream, call))

    def _synced(self, c: str, stream: Stream, call: Call) -> None:
        if stream is not self._stream(c):
            return
        stream.repairing = False
        if call.error is not None:
            if c != ME and call.error.code != "disconnected":
                self.refuse(self.rooms[c], call.error.code)
            return
        if gap := call.result.get("gap"):
            self._missed(c, gap, call.result["epoch"])
        stream.epoch = call.result["epoch"]
        before = stream.seq
        for push in call.result["entries"]:
            for ready in stream.take({**push, "c": c}):
                self._durable(c, ready)
        for ready in stream.drain():
            self._durable(c, ready)
        if stream.hole or (call.result.get("more") and stream.seq != before):
            self._repair(c, stream)

    def _missed(self, c: str, gap: Mapping[str, int], epoch: int) -> None:
        if c == ME:
            self.mine.skip_to(gap["to"])
            self._lists_anew()
        elif self.rooms[c].missed(gap, epoch):
            self._load(self.rooms[c])
        self.touch(c)

    def _enter_mine(self, told: Mapping[str, Any]) -> None:
        if self.mine.seq is None:
            self.mine.begin(told["head"], told["epoch"])
        if gap := told.get("gap"):
            self._missed(ME, gap, told["epoch"])
        self.mine.epoch = told["epoch"]

    def _lists_anew(self) -> None:
        loaded = self.inbox.loaded
        self.inbox.clear()
        self.inbox.loaded = self.inbox.stale = loaded

    def _load(self, room: Room) -> None:
        room.wants_page = True
        self._ask("message.list", {"c": room.id, "limit": _HISTORY}, "bound")

    def _watch_again(self, room: Room) -> None:
        again = {"c": room.id, "after": room.stream.seq, "epoch": room.stream.epoch}
        self._ask("conversation.watch", again, "bound")

    def _failed(self, call: Call, error: CaasError) -> None:
        ours_and_cut = call.kind == "bound" and isinstance(error, Disconnected)
        if call.command == "conversation.watch" and call.p["c"] in self.rooms and not ours_and_cut:
            self.refuse(self.rooms[call.p["c"]], error.code)

    def _stream(self, c: str) -> Stream | None:
        if c == ME:
            return self.mine
        return self.rooms[c].stream if c in self.rooms else None


def _watched(state: State, call: Call, r: Mapping[str, Any]) -> None:
    c = call.p["c"]
    if c in state.rooms and state.rooms[c].stream.seq is None:
        state.rooms[c].begun_i = call.i
    state.watching_told(c, r)


def _listed_messages(state: State, call: Call, r: Mapping[str, Any]) -> None:
    room = state.rooms.get(call.p["c"])
    if room is None:
        return
    if room.stream.seq is None or call.i < room.begun_i:
        room.wants_page = room.wants_page or room.stream.seq is None
        return
    timeline = room.timeline
    if "thread" in call.p:
        timeline.absorb(r["items"])
    elif "around" not in call.p and "after" not in call.p and ("before" not in call.p or call.p["before"] == timeline.prev):
        timeline.take_page(r["items"], r.get("prev"), earlier="before" in call.p)
        room.wants_page = room.wants_page and "before" in call.p
    for item in r["items"]:
        if item.get("sender") == state.me and state.letters.get(item["id"]) is not None:
            state.told_back(item, item["seq"])
    others = [item["seq"] for item in r["items"] if item.get("sender") != state.me]
    if others and "before" not in call.p:
        state.pointers.move("message.delivered", call.p["c"], max(others))
    state.ask_incomplete(room)
    state.touch(call.p["c"])


def _listed_conversations(state: State, call: Call, r: Mapping[str, Any]) -> None:
    state.inbox.take_page(r["items"])
    for item in r["items"]:
        last = item.get("last_message")
        if last and item.get("unread") and last.get("sender") != state.me:
            state.pointers.move("message.delivered", item["conversation"]["id"], last["seq"])
    state.touch("")


def _described(state: State, call: Call, r: Mapping[str, Any]) -> None:
    if call.p["c"] in state.rooms:
        state.rooms[call.p["c"]].describe(r)
        state.touch(call.p["c"])


def _presence(state: State, call: Call, r: Mapping[str, Any]) -> None:
    state.watching |= dict.fromkeys(call.p["users"])
    state.presence |= {item["user"]: dict(item) for item in r["items"]}
    state.touch("")


def _presence_ended(state: State, call: Call, r: Mapping[str, Any]) -> None:
    for user in call.p["users"]:
        state.watching.pop(user, None)
        state.presence.pop(user, None)


_RESULTS: dict[str, Callable[[State, Call, Mapping[str, Any]], None]] = {
    "conversation.watch": _watched, "message.list": _listed_messages,
    "conversation.list": _listed_conversations, "conversation.get": _described,
    "presence.watch": _presence, "presence.unwatch": _presence_ended,
}
