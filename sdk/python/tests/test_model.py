"""Any sequence of acts, told as pushes and pages in whatever order a network allows, gives the list that the server has.

Replies are late, connections are cut and resumed, pushes are lost, pages are older or newer than what was pushed.
"""

from collections import deque
from typing import Any

from caas_sdk import codec
from caas_sdk.core.core import Core
from caas_sdk.core.message import to_wire
from caas_sdk.core.outputs import AskToken, Dial, Send
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from model_server import START_MS, USERS, Server

Json = dict[str, Any]
EMOJI = st.sampled_from(["👍", "🎉"])
PEOPLE = st.sampled_from(USERS)
SOME = st.integers(0, 30)


class Network(RuleBasedStateMachine):
    """Alice's client, the server, and what is on its way between them: pushes in order, replies in any."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.now = 0.0
        self.core = Core(now=0.0, wall_ms=START_MS, chance=lambda: 0.5, entropy=lambda size: self._chance(size))
        self.pushes: deque[Json] = deque()
        self.replies: list[Json] = []
        self.watched = False
        self.told = self.told_me = 0
        self.dialled = self.made = 0

    def _chance(self, size: int) -> bytes:
        self.made += 1
        return self.made.to_bytes(size, "big")

    @initialize(before=st.integers(0, 9), reactors=st.integers(0, 7))
    def begin(self, before: int, reactors: int) -> None:
        """Some history, then alice comes and opens the conversation."""
        for count in range(before):
            self.server.send(USERS[count % 3], f"old {count}")
        if before:
            for user in USERS[:reactors]:
                self.server.react(self._some(before // 2), user, "👍", hint=True)
        self.core.connect(self.now)
        self._pump()
        self.core.request("conversation.watch", {"c": "c"}, self.now)
        self.core.request("message.list", {"c": "c"}, self.now)
        self.core.request("conversation.list", {}, self.now)
        self._pump()

    # --- what people do

    @rule(user=PEOPLE, text=st.text(max_size=3))
    def somebody_sends(self, user: str, text: str) -> None:
        self.server.send(user, text)

    @rule(text=st.text(max_size=3))
    def alice_sends(self, text: str) -> None:
        self.core.request("message.send", {"c": "c", "text": text}, self.now)
        self._pump()

    @precondition(lambda self: self.server.messages)
    @rule(at=SOME, user=PEOPLE)
    def reply_in_a_thread(self, at: int, user: str) -> None:
        self.server.send(user, "reply", thread=self._some(at))

    @precondition(lambda self: self.server.messages)
    @rule(at=SOME, text=st.text(max_size=3))
    def edit(self, at: int, text: str) -> None:
        self.server.edit(self._some(at), text)

    @precondition(lambda self: self.server.messages)
    @rule(at=SOME)
    def delete(self, at: int) -> None:
        self.server.delete(self._some(at))

    @precondition(lambda self: self.server.messages)
    @rule(at=SOME, user=PEOPLE, emoji=EMOJI, hint=st.booleans())
    def react(self, at: int, user: str, emoji: str, hint: bool) -> None:
        self.server.react(self._some(at), user, emoji, hint=hint)

    @precondition(lambda self: self.server.messages)
    @rule(at=SOME, user=PEOPLE, emoji=EMOJI, hint=st.booleans())
    def unreact(self, at: int, user: str, emoji: str, hint: bool) -> None:
        self.server.unreact(self._some(at), user, emoji, hint=hint)

    @precondition(lambda self: self.server.messages)
    @rule(at=SOME, pinned=st.booleans())
    def pin(self, at: int, pinned: bool) -> None:
        self.server.pin(self._some(at), pinned=pinned)

    @precondition(lambda self: self.server.messages)
    @rule(at=SOME)
    def hide(self, at: int) -> None:
        self.server.hide(self._some(at))

    @rule(at=SOME)
    def read_elsewhere(self, at: int) -> None:
        self.server.read(min(at, len(self.server.entries)))

    @rule(at=SOME)
    def read_here(self, at: int) -> None:
        self.core.mark_read("c", min(at, self._room_seq()), self.now)
        self._pump()

    @rule()
    def earlier(self) -> None:
        room = self.core.state.rooms["c"]
        if room.timeline.prev is not None:
            self.core.request("message.list", {"c": "c", "before": room.timeline.prev}, self.now)
            self._pump()

    # --- what the network does

    @rule(count=st.integers(1, 4))
    def deliver_pushes(self, count: int) -> None:
        self._tell()
        for _ in range(min(count, len(self.pushes))):
            self._receive(self.pushes.popleft())

    @precondition(lambda self: self.replies)
    @rule(at=SOME)
    def deliver_a_reply(self, at: int) -> None:
        self._receive(self.replies.pop(at % len(self.replies)))

    @precondition(lambda self: self.pushes)
    @rule()
    def lose_a_push(self) -> None:
        self._tell()
        if "s" in self.pushes[0]:
            self.pushes.popleft()

    @rule(code=st.sampled_from([None, 4400, 4408]))
    def cut(self, code: int | None) -> None:
        self.core.closed(self.dialled, code, self.now)
        self._pump()
        self._pass(40.0)

    @rule(seconds=st.floats(0.1, 10))
    def time_passes(self, seconds: float) -> None:
        self._pass(seconds)

    # --- the end

    def teardown(self) -> None:
        if not self.dialled:
            return
        while True:
            self._quiesce()
            if self.core.state.rooms["c"].timeline.prev is None:
                break
            self.earlier()
        shown = [to_wire(message) for message in self.core.state.show("c")]
        assert shown == self.server.listed()
        assert self.core.state.letters.of("c", "alice") == []
        assert self.core.state.inbox.rows["c"].unread == self.server.row()["unread"]

    def _quiesce(self) -> None:
        for _ in range(60):
            self._tell()
            while self.pushes:
                self._receive(self.pushes.popleft())
            while self.replies:
                self._receive(self.replies.pop(0))
            heads = {"c": len(self.server.entries), "me": len(self.server.personal)}
            self._receive({"t": "heads", "p": {"epoch": self.server.epoch, "conversations": heads}})
            self._pass(5.0)

    # --- in between

    def _some(self, at: int) -> str:
        return list(self.server.messages)[at % len(self.server.messages)]

    def _room_seq(self) -> int:
        return self.core.state.rooms["c"].stream.seq or 0

    def _pass(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.core.next_at(self.now)) is not None and due <= end:
            self.now = max(due, self.now + 1e-6)
            self.core.tick(self.now)
            self._pump()
        self.now = end
        self.core.tick(self.now)
        self._pump()

    def _receive(self, frame: Json) -> None:
        self.core.received(self.dialled, codec.encode(frame), self.now)
        self._pump()

    def _tell(self) -> None:
        """What happened since is on its way, where it is watched."""
        for push in self.server.entries[self.told :] if self.watched else []:
            self.pushes.append(push)
        self.told = len(self.server.entries)
        self.pushes.extend(self.server.personal[self.told_me :])
        self.told_me = len(self.server.personal)

    def _pump(self) -> None:
        while outputs := self.core.take_outputs():
            for output in outputs:
                if isinstance(output, AskToken):
                    self.core.token("t", self.now)
                elif isinstance(output, Dial):
                    self.dialled = output.socket
                    self.pushes.clear()
                    self.replies.clear()
                    self.watched = False
                    self.core.opened(output.socket, self.now)
                elif isinstance(output, Send):
                    for frame in codec.decode(output.data):
                        self._serve(frame)

    def _serve(self, frame: Json) -> None:
        m, p, i = frame["m"], frame["p"], frame["i"]
        if m == "hello":
            self._hello(p.get("resume", {}), i)
        elif m == "conversation.watch":
            self._tell()
            after = p.get("after")
            r = self.server.watched(after)
            self.pushes.append({"i": i, "r": r})
            if not self.watched and after is not None:
                self.pushes.extend(self.server.replay(after))
            self.watched, self.told = True, len(self.server.entries)
        else:
            self._tell()
            self.replies.append({"i": i, "r": self.server.answer(m, p)})

    def _hello(self, resume: Json, i: int) -> None:
        conversations = {}
        if "c" in resume:
            conversations["c"] = self.server.watched(resume["c"]["seq"])
            self.pushes.extend(self.server.replay(resume["c"]["seq"]))
            self.watched = True
        seen = resume.get("me", {"seq": len(self.server.personal)})["seq"]
        self.pushes.extend(self.server.personal[seen:])
        self.told, self.told_me = len(self.server.entries), len(self.server.personal)
        me = {"head": self.told_me, "epoch": self.server.epoch, "read": {}, "delivered": {}}
        self.core.received(self.dialled, codec.encode({"i": i, "r": {
            "protocol": "caas.v1", "session": "s", "user": {"id": "alice"}, "server_time": START_MS + int(self.now * 1000), "heartbeat_s": 15,
            "limits": {}, "me": me, "conversations": conversations}}), self.now)


Network.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None, derandomize=True)
TestNetwork = Network.TestCase
