"""A client as other people would write it, and the load that several of them make.

It keeps to the protocol: acts have ids, a repeat bears the same one, `after` names the message before while that has no answer, a
reconnection resumes with the last seqs, and only pushes move these. All it does and sees goes into a history for the checker.
"""

import math
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgpack
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from protocol.ids import make_uuid7, show_act
from sim.device import to_entry
from tests.checker.history import NOT_TOLD, Entry, Event, Op, Outcome, digest
from tests.faults.acts import Act, Acts

LOOKS_S = 6.0
"""Within so long somebody looks at a conversation, and has read what is there."""
WINDOW = 3
"""Messages of one client on their way to one conversation."""
NO_CODE = 1006
Map = dict[str, Any]


@asynccontextmanager
async def connected(base: str) -> AsyncIterator[WebSocketConnection]:
    """A connection, made within 5 s, whose socket is closed afterwards whatever has become of it."""
    host, port = base.removeprefix("http://").split(":")
    with trio.fail_after(5):
        stream = await trio.open_tcp_stream(host, int(port))
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(5):
                socket = await wrap_client_stream(nursery, stream, f"{host}:{port}", "/ws", subprotocols=["caas.v1"])
            yield socket
            with trio.move_on_after(1):
                await socket.aclose()
            nursery.cancel_scope.cancel()
    except* LocalProtocolError:  # a ping that came while it said goodbye: the library would still answer it
        pass
    finally:
        await trio.aclose_forcefully(stream)


def new_id(chance: random.Random) -> str:
    """A UUIDv7 of now."""
    return show_act(make_uuid7(time.time_ns() // 1_000_000, chance.randbytes(10)))


@dataclass(slots=True)
class Message:
    """One message that is still wanted."""

    id: str
    text: str


@dataclass(slots=True)
class Lane:
    """What one client sends to one conversation, in order."""

    conversation: str
    pending: deque[Message] = field(default_factory=deque)
    on_the_way: int = 0
    refused: bool = False
    pause_s: float = 0.0
    acts: Acts | None = None
    acting: Act | None = None
    """The act that has no answer yet."""
    answered_of: float = -math.inf
    """When the latest attempt that was acknowledged began, by trio's clock."""
    marking: int = 0
    """The seq up to which it is just said that all was read; 0: of nothing."""
    news: trio.Event = field(default_factory=trio.Event)

    @property
    def busy(self) -> bool:
        """Whether something has no answer yet."""
        return bool(self.pending or self.acting or self.marking)

    def __str__(self) -> str:
        refused = f", refused, pauses {self.pause_s:g} s" if self.refused else ""
        return f"{self.conversation}: {len(self.pending)} wanted, {self.on_the_way} on the way{refused}"

    def tell(self) -> None:
        """Something has changed: look again."""
        self.news.set()
        self.news = trio.Event()


class History:
    """The events of all clients, in the order they happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, client: "Client", conversation: str, op: Op, type: Outcome, id: str = "", sha: str = "", epoch: int = 0, seq: int = 0) -> None:
        """One more."""
        self.events.append(Event(time.monotonic_ns(), client.name, client.user, conversation, op, type, id, sha, epoch, seq))

    def blow(self, whom: str) -> None:
        """Something of the server was hurt just now."""
        self.events.append(Event(time.monotonic_ns(), "", "", "", "blow", "ok", whom))


class Client:
    """One user's device: it watches all its conversations, sends to each, and comes back whatever happens.

    `surprises` are what a client must never meet: a refusal that should not be, a close code that forbids to come back.
    """

    def __init__(self, base: str, user: str, token: str, conversations: Sequence[str], history: History, seed: int, pace_s: float = 0.1, *,
                 owner: bool = False, longest_wait_s: float = 30.0) -> None:
        self.name, self.user, self.history, self.surprises = f"{user}/1", user, history, list[str]()
        self.lanes = {conversation: Lane(conversation) for conversation in conversations}
        self.last: dict[str, tuple[int, int]] = {}
        self.refusals = Counter[str]()
        """Of sends and acts, by code."""
        self.told = Counter[str]()
        """The same, by what was said."""
        self.sending = self.reading = True
        self.connections = 0
        self.doing = "nothing yet"
        self.failed: deque[str] = deque(maxlen=5)
        self._base, self._token, self._pace_s = base, token, pace_s
        self._chance = random.Random(seed)
        for lane in self.lanes.values():
            lane.acts = Acts(user, lane.conversation, self._chance, owner=owner)
        self._failures = 0
        self._longest_wait_s = longest_wait_s
        self._chance_to_read = random.Random(f"{seed} reads")
        self._count = 0

    async def run(self) -> None:
        """Connect, and again, until cancelled."""
        while True:
            code = await self._connect()
            if 4500 <= code < 5000:
                self.surprises.append(f"{self.name} was closed with {code}")
                return
            pause_s = self._chance.uniform(0, min(self._longest_wait_s, 0.25 * 2**self._failures))
            self._failures += 1
            self.doing = f"waits {pause_s:.2f} s after {code}, {self._failures} failures"
            await trio.sleep(pause_s)

    def is_drained(self, heads: dict[str, int]) -> bool:
        """Whether everything sent is answered, and everything there is has come."""
        return not any(lane.pending for lane in self.lanes.values()) and all(self.last.get(c, (-1, 0))[0] == head for c, head in heads.items())

    async def _connect(self) -> int:
        """One connection's life; the code it was closed with."""
        code, self.doing = NO_CODE, "connects"
        try:
            async with connected(self._base) as socket:
                self.connections, self.doing = self.connections + 1, "is connected"
                code = await Session(self, socket).run()
        except* (HandshakeError, ConnectionClosed, trio.TooSlowError, OSError) as failed:
            self.failed.append(f"{self.doing}: {failed.exceptions!r}")
        return code

    def moved(self, base: str, token: str) -> None:
        """The server is elsewhere from now on."""
        self._base, self._token = base, token

    def greeted(self) -> None:
        """A connection stands: the next failure is the first again."""
        self._failures, self.doing = 0, "is greeted"

    def next_message(self) -> Message:
        """Something new to say."""
        self._count += 1
        return Message(new_id(self._chance), f"{self.user} says {self._count}")

    def note_refusal(self, error: Map) -> None:
        """A send or an act was refused."""
        self.refusals[error["code"]] += 1
        self.told[f"{error['code']}: {error['message']}"] += 1

    def next_act(self, lane: Lane) -> Act | None:
        """Something else to do."""
        return lane.acts.next(new_id(self._chance)) if lane.acts else None

    async def looks(self) -> None:
        """Until they look at a conversation again."""
        await trio.sleep(self._chance_to_read.uniform(0, LOOKS_S))

    @property
    def token(self) -> str:
        """For `hello`."""
        return self._token

    @property
    def pace_s(self) -> float:
        """Between two new messages to one conversation."""
        return self._pace_s


class Session:
    """One connection of a client."""

    def __init__(self, client: Client, socket: WebSocketConnection) -> None:
        self._client, self._socket, self._history = client, socket, client.history
        self._next = 0
        self._waiting: dict[int, Callable[[Map], None]] = {}
        self._attempts: dict[int, tuple[Lane, Message]] = {}
        self._acting: dict[str, Act] = {}
        self._greeted = trio.Event()
        self._nursery: trio.Nursery

    async def run(self) -> int:
        """Until the connection ends; its close code."""
        async with trio.open_nursery() as self._nursery:
            for lane in self._client.lanes.values():
                lane.on_the_way, lane.refused, lane.pause_s = 0, bool(lane.pending), 0.0
                self._nursery.start_soon(self._send_lane, lane)
                self._nursery.start_soon(self._act_lane, lane)
                self._nursery.start_soon(self._read_lane, lane)
            resume = {c: {"seq": seq, "epoch": epoch} for c, (seq, epoch) in self._client.last.items()}
            hello = {"token": self._client.token, **({"resume": resume} if resume else {})}
            self._nursery.start_soon(self._command, "hello", hello, self._hello)
            code = await self._read()
            self._nursery.cancel_scope.cancel()
        for lane, message in self._attempts.values():
            self._note(lane.conversation, "info", message)
        for conversation, act in self._acting.items():
            self._note_act(conversation, "info", act)
        for lane in self._client.lanes.values():
            if lane.marking:
                self._note_mark(lane, "info")
        return code

    # What comes.

    async def _read(self) -> int:
        while True:
            try:
                raw = await self._socket.get_message()
            except ConnectionClosed as closed:
                return closed.reason.code if closed.reason is not None else NO_CODE
            unpacked = msgpack.unpackb(raw)
            for frame in unpacked if isinstance(unpacked, list) else [unpacked]:
                if "i" in frame:
                    self._waiting.pop(frame["i"])(frame)
                else:
                    self._push(frame)

    def _push(self, push: Map) -> None:
        conversation = push.get("c", "")
        if push["t"] == "conversation.watching":
            self._watched(conversation, push["p"])
        elif push["t"] == "message.read":
            self._history.note(self._client, conversation, "mark", "ok", push["p"]["user"], seq=push["p"]["seq"])
        elif "s" in push and conversation in self._client.lanes:
            _, epoch = self._client.last[conversation]
            self._client.last[conversation] = push["s"], epoch
            entry = to_entry(push)
            self._history.note(self._client, conversation, "deliver", "ok", entry.id, entry.sha, epoch, entry.seq)

    def _hello(self, reply: Map) -> None:
        if "e" in reply:
            if not reply["e"]["retryable"]:  # a room's worker may just have been killed: who is told so comes again
                self._client.surprises.append(f"hello of {self._client.name}: {reply['e']}")
            return
        self._client.greeted()
        for conversation, watched in reply["r"]["conversations"].items():
            self._watched(conversation, watched)
        for conversation in self._client.lanes:
            if conversation not in self._client.last:
                self._nursery.start_soon(self._watch, conversation, 0.0)
        self._greeted.set()

    def _watched(self, conversation: str, watched: Map) -> None:
        """Watching began; `last` moves here only by what was announced: the first head, or a gap."""
        if "error" in watched:
            self._nursery.start_soon(self._watch, conversation, 0.25)
        elif not watched.get("later"):
            if conversation not in self._client.last:
                self._client.last[conversation] = watched["head"], watched["epoch"]
            if "gap" in watched:
                self._client.last[conversation] = watched["gap"]["to"], watched["epoch"]
                self._history.note(self._client, conversation, "gap", "ok", epoch=watched["epoch"], seq=watched["gap"]["to"])
            last, _ = self._client.last[conversation]
            self._history.note(self._client, conversation, "join", "ok", epoch=watched["epoch"], seq=last)
            if watched.get("from", last + 1) != last + 1:
                self._client.surprises.append(f"{self._client.name} has {last} of {conversation} and is promised {watched}")

    async def _watch(self, conversation: str, pause_s: float) -> None:
        def answered(reply: Map) -> None:
            if "r" in reply:
                self._watched(conversation, reply["r"])
            elif reply["e"]["retryable"]:
                self._nursery.start_soon(self._watch, conversation, reply["e"].get("retry_after_ms", 250) / 1000)
            else:
                self._client.surprises.append(f"watching {conversation}: {reply['e']}")

        await trio.sleep(pause_s)
        last = self._client.last.get(conversation)
        await self._command("conversation.watch", {"c": conversation, **({"after": last[0], "epoch": last[1]} if last else {})}, answered)

    # What goes.

    async def _send_lane(self, lane: Lane) -> None:
        await self._greeted.wait()
        while True:
            if lane.refused and not lane.on_the_way:
                await trio.sleep(lane.pause_s)
                lane.refused, lane.pause_s = False, 0.0
                for place, message in enumerate(list(lane.pending)):
                    await self._attempt(lane, message, list(lane.pending)[:place])
            elif self._client.sending and not lane.refused and len(lane.pending) < WINDOW:
                before = list(lane.pending)
                lane.pending.append(self._client.next_message())
                await self._attempt(lane, lane.pending[-1], before)
                await trio.sleep(self._client.pace_s)
            else:
                with trio.move_on_after(0.5):
                    await lane.news.wait()

    async def _act_lane(self, lane: Lane) -> None:
        """One act after the other, each until it is answered."""
        await self._greeted.wait()
        while True:
            if lane.acting is None and self._client.sending:
                lane.acting = self._client.next_act(lane)
            if lane.acting is not None:
                await trio.sleep(await self._try(lane, lane.acting))
            await trio.sleep(self._client.pace_s * 2)

    async def _try(self, lane: Lane, act: Act) -> float:
        """One attempt; how long to wait before the next."""
        done, replies = trio.Event(), list[Map]()

        def answered(reply: Map) -> None:
            replies.append(reply)
            done.set()

        self._acting[lane.conversation] = act
        self._note_act(lane.conversation, "invoke", act)
        await self._command(act.command, act.p, answered)
        await done.wait()
        del self._acting[lane.conversation]
        if "r" in replies[0]:
            lane.acting = None
            self._note_act(lane.conversation, "ok", act, replies[0]["r"].get("seq", NOT_TOLD))
            return 0.0
        error = replies[0]["e"]
        self._client.note_refusal(error)
        self._note_act(lane.conversation, "info" if error["code"] in ("timeout", "internal") else "fail", act)
        if not error["retryable"]:
            lane.acting = None
            self._client.surprises.append(f"{act.id} in {lane.conversation}: {error}")
        return float(error.get("retry_after_ms", 500) / 1000)

    def _note_act(self, conversation: str, outcome: Outcome, act: Act, seq: int = 0) -> None:
        _, epoch = self._client.last.get(conversation, (0, 0))
        self._history.note(self._client, conversation, "act", outcome, act.id, digest(act.text), epoch, seq)

    async def _read_lane(self, lane: Lane) -> None:
        """Now and then all that has come has been read."""
        await self._greeted.wait()
        while True:
            await self._client.looks()
            seq, _ = self._client.last.get(lane.conversation, (0, 0))
            if seq and self._client.reading and self._client.sending:
                await self._mark(lane, seq)

    async def _mark(self, lane: Lane, seq: int) -> None:
        done = trio.Event()

        def answered(reply: Map) -> None:
            error = reply.get("e")
            self._note_mark(lane, "ok" if error is None else "info" if error["code"] in ("timeout", "internal") else "fail")
            if error is not None and not error["retryable"]:
                self._client.surprises.append(f"reading {lane.conversation} up to {seq}: {error}")
            done.set()

        lane.marking = seq
        self._history.note(self._client, lane.conversation, "read", "invoke", seq=seq)
        await self._command("message.read", {"c": lane.conversation, "seq": seq}, answered)
        await done.wait()

    def _note_mark(self, lane: Lane, outcome: Outcome) -> None:
        self._history.note(self._client, lane.conversation, "read", outcome, seq=lane.marking)
        lane.marking = 0

    async def _attempt(self, lane: Lane, message: Message, before: list[Message]) -> None:
        began = trio.current_time()
        wanted = [earlier for earlier in before if earlier in lane.pending]

        def answered(reply: Map) -> None:
            del self._attempts[number]
            lane.on_the_way -= 1
            self._answered(lane, message, reply, began)
            lane.tell()

        lane.on_the_way += 1
        number = self._next + 1
        self._attempts[number] = lane, message
        self._note(lane.conversation, "invoke", message)
        p = {"c": lane.conversation, "id": message.id, "text": message.text, **({"after": wanted[-1].id} if wanted else {})}
        await self._command("message.send", p, answered)

    def _answered(self, lane: Lane, message: Message, reply: Map, began: float) -> None:
        if "r" in reply:
            lane.answered_of = max(lane.answered_of, began)
            lane.pending.remove(message)
            self._note(lane.conversation, "ok", message, reply["r"]["seq"])
            if lane.acts is not None:
                lane.acts.said(message.id)
            return
        error = reply["e"]
        self._client.note_refusal(error)
        self._note(lane.conversation, "info" if error["code"] in ("timeout", "internal") else "fail", message)
        if error["retryable"]:
            lane.refused, lane.pause_s = True, max(lane.pause_s, error.get("retry_after_ms", 500) / 1000)
        else:
            lane.pending.remove(message)
            self._client.surprises.append(f"{message.text} to {lane.conversation}: {error}")

    def _note(self, conversation: str, outcome: Outcome, message: Message, seq: int = 0) -> None:
        _, epoch = self._client.last.get(conversation, (0, 0))
        self._history.note(self._client, conversation, "send", outcome, message.id, digest(message.text), epoch, seq)

    async def _command(self, name: str, p: Map, then: Callable[[Map], None]) -> None:
        """Send it; a connection that ends in the middle is noticed by the reader."""
        self._next += 1
        self._waiting[self._next] = then
        try:
            await self._socket.send_message(msgpack.packb({"i": self._next, "m": name, "p": p}))
        except ConnectionClosed:
            await trio.sleep_forever()


async def ask(base: str, token: str, commands: Sequence[tuple[str, Map]]) -> list[Any]:
    """Commands on a connection of their own, one after the other; their results. A refusal is an AssertionError; retryable ones are repeated,
    `hello` on a new connection: one that is not greeted is closed."""
    with trio.fail_after(60):
        while True:
            async with connected(base) as socket:
                if "r" in await _reply(socket, "hello", {"token": token}):
                    return [await _ask(socket, name, p) for name, p in commands]
            await trio.sleep(0.1)


async def _ask(socket: WebSocketConnection, name: str, p: Map) -> Any:
    while "r" not in (reply := await _reply(socket, name, p)):
        await trio.sleep(0.1)
    return reply["r"]


async def _reply(socket: WebSocketConnection, name: str, p: Map) -> Map:
    """What is said to it; if it is a refusal, then for a moment."""
    await socket.send_message(msgpack.packb({"i": 1, "m": name, "p": p}))
    while True:
        unpacked = msgpack.unpackb(await socket.get_message())
        for frame in unpacked if isinstance(unpacked, list) else [unpacked]:
            if "i" in frame:
                assert "r" in frame or frame["e"]["retryable"], (name, p, frame)
                return dict(frame)


async def read_log(base: str, token: str, conversations: Sequence[str]) -> dict[str, list[Entry]]:
    """Every entry of every conversation."""
    return {conversation: [to_entry(push) for push in pushes] for conversation, pushes in (await read_pushes(base, token, conversations)).items()}


async def read_pushes(base: str, token: str, conversations: Sequence[str]) -> dict[str, list[Map]]:
    """Every entry as it happened, from the first on, by `conversation.sync`."""
    log: dict[str, list[Map]] = {}
    for conversation in conversations:
        pushes: list[Map] = []
        more = True
        while more:
            [page] = await ask(base, token, [("conversation.sync", {"c": conversation, "after": pushes[-1]["s"] if pushes else 0, "limit": 500})])
            assert "gap" not in page, page
            assert not page["more"] or page["entries"], page
            pushes += page["entries"]
            more = page["more"]
        numbers = [push["p"]["n"] for push in pushes if push["t"] == "message.new"]
        assert numbers == list(range(1, len(numbers) + 1)), f"{conversation}: messages are numbered {numbers}"
        log[conversation] = pushes
    return log


async def read_messages(base: str, token: str, conversation: str) -> list[Map]:
    """Every message as it is, by paging back through `message.list`."""
    found: list[Map] = []
    before: Map = {}
    while True:
        [page] = await ask(base, token, [("message.list", {"c": conversation, "limit": 100, **before})])
        found[:0] = page["items"]
        if "prev" not in page:
            return found
        before = {"before": page["prev"]}
