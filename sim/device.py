"""A client of the simulated world: it keeps to the protocol, notes all that it does and sees, and comes back whatever happens."""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import trio

from protocol.errors import CODES
from protocol.ids import make_uuid7, show_act
from sim.acts import Act, Acts, known_by
from sim.history import NOT_TOLD, Entry, Event, Op, Outcome, digest
from sim.world import T0, Wire, World

ANSWER_S = 12.0
"""Longer than the server takes to say `timeout`: who has heard nothing by then has a dead connection."""
WINDOW = 3
WORDS, WORDS_WITHIN_S = 6, 0.2
"""What somebody says besides while they are shown out. Nothing of it names what was said before."""
Map = dict[str, Any]


class History:
    """The events of all devices, in the order they happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, device: "Device", room: str, op: Op, type: Outcome, id: str = "", sha: str = "", epoch: int = 0, seq: int = 0,
             repeat: bool = False) -> None:
        """One more."""
        self.events.append(Event(_now_ns(), device.process, device.user, f"{device.tenant}/{room}", op, type, id, sha, epoch, seq, repeat))

    def blow(self, worker: str) -> None:
        """A worker has fallen."""
        self.events.append(Event(_now_ns(), "", "", "", "blow", "ok", worker))


def _now_ns() -> int:
    return int(trio.current_time() * 1e9)


class Lane:
    """What a device sends to one room: messages in order, at most `WINDOW` under way, and one other act at a time."""

    def __init__(self, messages: Sequence[tuple[str, str]], acts: Acts, most_acts: int) -> None:
        self.waiting, self.pending = deque(messages), deque[tuple[str, str]]()
        self.acts, self.acts_left = acts, most_acts
        self.acting: Act | None = None
        self.over = False
        """Nothing can be said here any more: one has been shown out."""

    @property
    def done(self) -> bool:
        """Whether all is said and answered."""
        return self.over or not (self.waiting or self.pending or self.acting)


class Device:
    """One user's."""

    def __init__(self, world: World, history: History, tenant: str, user: str, rooms: Sequence[str], seed: int, *, messages: int,
                 guests: Sequence[str], faults: Sequence[str]) -> None:
        self.world, self.history, self.tenant, self.user = world, history, tenant, user
        self.process = f"{tenant}/{user}"
        self.chance = random.Random(seed)
        self.twice = 0.2 if "duplicate" in faults else 0.0
        self.last: dict[str, tuple[int, int]] = {}
        self.wire: Wire | None = None
        self.visit: Visit | None = None
        self.reading = True
        self.surprises: list[str] = []
        self.lanes = {room: self._lane(room, messages, guests) for room in rooms}
        self.companions: dict[str, Device] = {}
        """By name, everybody of the same tenant."""
        self.upheaval: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        """What may happen while somebody is shown out."""

    def _lane(self, room: str, messages: int, guests: Sequence[str]) -> Lane:
        acts = Acts(self.user, room, self.chance, owner=self.user == "alice", guests=(), inside=guests, spared=1)
        return Lane([(self.new_id(), f"{self.process} says {number} in {room}") for number in range(messages)], acts, messages)

    def new_id(self) -> str:
        """A UUIDv7 of about now, by a clock that is wrong by up to half a minute."""
        return show_act(make_uuid7(T0 + int(trio.current_time() * 1000) + self.chance.randrange(-30_000, 30_000), self.chance.randbytes(10)))

    @property
    def done(self) -> bool:
        """Whether all is said and answered."""
        return all(lane.done for lane in self.lanes.values())

    def behind(self, heads: dict[str, int]) -> list[str]:
        """Rooms of which something has not come yet."""
        return [room for room, lane in self.lanes.items() if not lane.over and self.last.get(room, (-1, 0))[0] != heads[f"{self.tenant}/{room}"]]

    def last_words(self, room: str) -> None:
        """Whoever is just being shown out goes on talking: what of it counts is for the log alone to say."""
        if self.visit is not None:
            self.visit.blurt(room)

    async def live(self) -> None:
        """Connect, and again, until cancelled."""
        while True:
            if self.world.workers:
                self.visit = Visit(self, self.world)
                await self.visit.run()
                self.visit = None
            await trio.sleep(self.chance.random())


class Answer:
    """What comes back of a command: the first answer counts. `then` is called with it before the next frame is looked at."""

    def __init__(self, then: Callable[[Map], None] | None = None) -> None:
        self.copies = 0
        """How often the command went out."""
        self.frame: Map | None = None
        self.came = trio.Event()
        self._then = then

    def take(self, frame: Map) -> None:
        """An answer."""
        if self.frame is None:
            self.frame = frame
            self.came.set()
            if self._then is not None:
                self._then(frame)


class Attempt(NamedTuple):
    """Something said that is noted. `strange`: another content under a known id; whatever is answered, it is not refused for good."""

    op: Op
    room: str
    id: str
    sha: str
    answer: Answer
    strange: bool = False


class Visit:
    """One connection of a device."""

    def __init__(self, device: Device, world: World) -> None:
        self._device, self._history, self._i = device, device.history, 0
        self._replies: dict[int, Callable[[Map], None]] = {}
        self._open: list[Attempt] = []
        """Those without an answer."""
        self._greeted = False
        self._nursery: trio.Nursery
        name = device.chance.choice(sorted(world.workers))
        self._wire = device.wire = Wire(world.workers[name], self._heard)

    async def run(self) -> None:
        """Until it ends."""
        async with trio.open_nursery() as self._nursery:
            nursery = self._nursery
            nursery.start_soon(self._work, nursery)
            await self._wire.ended.wait()
            nursery.cancel_scope.cancel()
        self._wire.drop()
        for attempt in self._open:
            self._note(attempt.room, attempt.op, "info", attempt.id, attempt.sha)

    async def _work(self, nursery: trio.Nursery) -> None:
        device = self._device
        resume = {room: {"seq": seq, "epoch": epoch} for room, (seq, epoch) in device.last.items()}

        def greeted(frame: Map) -> None:
            for room, watched in frame.get("r", {}).get("conversations", {}).items():
                self._watched(room, watched, nursery)

        answer = await self._ask("hello", {"token": f"{device.tenant}:{device.user}", **({"resume": resume} if resume else {})}, greeted)
        if answer is None or "e" in answer:
            return self._wire.drop()
        self._greeted = True
        for room, lane in device.lanes.items():
            if room not in device.last and not lane.over:
                nursery.start_soon(self._watch, room, nursery)
            nursery.start_soon(self._talk, room, lane)
            nursery.start_soon(self._act, room, lane)
            nursery.start_soon(self._read, room)

    # What comes.

    def _heard(self, frame: Map) -> None:
        if "i" in frame:
            if reply := self._replies.pop(frame["i"], None):
                reply(frame)
            return
        room, lanes = frame.get("c", ""), self._device.lanes
        if frame["t"] == "conversation.watching" and room in lanes:
            self._watched(room, frame["p"], None)
        elif frame["t"] == "message.read" and room in lanes and "s" not in frame:
            self._history.note(self._device, room, "mark", "ok", frame["p"]["user"], seq=frame["p"]["seq"])
        elif "s" in frame and room in lanes and room in self._device.last:
            self._push(room, frame)

    def _push(self, room: str, push: Map) -> None:
        device = self._device
        _, epoch = device.last[room]
        device.last[room] = push["s"], epoch
        entry = to_entry(push)
        self._history.note(device, room, "deliver", "ok", entry.id, entry.sha, epoch, entry.seq)
        if push["t"] == "member.removed" and push["p"]["user"] == device.user:
            device.lanes[room].over = True

    def _watched(self, room: str, watched: Map, nursery: trio.Nursery | None) -> None:
        device = self._device
        if "error" in watched:
            if not CODES[watched["error"]].retryable:
                device.lanes[room].over = True
            elif nursery is not None:
                nursery.start_soon(self._watch, room, nursery)
            else:
                self._wire.drop()
            return
        if watched.get("later"):
            return
        device.last.setdefault(room, (watched.get("from", watched["head"] + 1) - 1, watched["epoch"]))
        if "gap" in watched:
            device.last[room] = watched["gap"]["to"], watched["epoch"]
            self._history.note(device, room, "gap", "ok", epoch=watched["epoch"], seq=watched["gap"]["to"])
        last, _ = device.last[room]
        self._history.note(device, room, "join", "ok", epoch=watched["epoch"], seq=last)
        if watched.get("from", last + 1) != last + 1:
            device.surprises.append(f"S5: {device.process} has {last} of {room} and is promised {watched}")

    # What goes.

    async def _watch(self, room: str, nursery: trio.Nursery) -> None:
        last = self._device.last.get(room)
        answer = await self._ask("conversation.watch", {"c": room, **({"after": last[0], "epoch": last[1]} if last else {"after": 0})},
                                 lambda frame: self._watched(room, frame["r"], nursery) if "r" in frame else None)
        if answer is None:
            return self._wire.drop()
        if "e" in answer:
            await trio.sleep(0.5)
            self._watched(room, {"error": answer["e"]["code"]}, nursery)

    async def _talk(self, room: str, lane: Lane) -> None:
        """Messages in order: new ones while few are under way; after a refusal all that are, again, in order."""
        while not lane.done:
            if not lane.pending and not lane.waiting:
                await trio.sleep(0.2)
                continue
            while lane.waiting and len(lane.pending) < self._device.chance.randint(1, WINDOW):
                lane.pending.append(lane.waiting.popleft())
            said = list(lane.pending)
            attempts = [self._say(room, said[place], said[place - 1][0] if place else "") for place in range(len(said))]
            async with trio.open_nursery() as nursery:
                for message, attempt in zip(said, attempts, strict=True):
                    nursery.start_soon(self._sent, room, lane, message, attempt)
            await trio.sleep(self._device.chance.random() * 0.3)

    def blurt(self, room: str) -> None:
        """Say some things within a moment, each once, whatever comes of it."""
        if self._greeted and not self._wire.closed:
            for number in range(WORDS):
                self._nursery.start_soon(self._blurted, room, f"{self._device.process} is not done in {room}: {number}")

    async def _blurted(self, room: str, text: str) -> None:
        await trio.sleep(self._device.chance.random() * WORDS_WITHIN_S)
        if not self._device.lanes[room].over:
            id = self._device.new_id()
            await self._answer(self._attempt("act", room, id, text, "message.send", {"c": room, "id": id, "text": text}))

    def _say(self, room: str, message: tuple[str, str], after: str) -> "Attempt":
        id, text = message
        return self._attempt("send", room, id, text, "message.send", {"c": room, "id": id, "text": text, **({"after": after} if after else {})})

    async def _sent(self, room: str, lane: Lane, message: tuple[str, str], attempt: "Attempt") -> None:
        answer = await self._answer(attempt)
        if "r" in answer:
            lane.pending.remove(message)
            lane.acts.said(message[0])
            if self._device.chance.random() < 0.1:  # the same id for something else: it must not be taken for the first
                strange = self._say(room, (message[0], f"not {message[1]}"), "")
                await self._answer(strange._replace(strange=True))
        elif not self._again(answer["e"], room, lane, message[1]):
            lane.pending.remove(message)

    async def _act(self, room: str, lane: Lane) -> None:
        while not lane.done:
            if lane.acting is None and lane.acts_left:
                lane.acting = lane.acts.next(self._device.new_id())
                lane.acts_left -= lane.acting is not None
                if lane.acting is not None and lane.acting.command == "member.remove":
                    self._device.companions[lane.acting.p["user"]].last_words(room)
                    await self._device.upheaval()
            if lane.acting is not None:
                act = lane.acting
                answer = await self._answer(self._attempt("act", room, act.id, act.text, act.command, act.p))
                if "r" in answer or not self._again(answer["e"], room, lane, act.id):
                    lane.acting = None
            await trio.sleep(self._device.chance.random() * 0.5)

    async def _read(self, room: str) -> None:
        while True:
            await trio.sleep(self._device.chance.random() * 4)
            if self._device.reading and (seq := self._device.last.get(room, (0, 0))[0]):
                self._marked(room, "invoke", seq)
                answer = await self._ask("message.read", {"c": room, "seq": seq})
                self._marked(room, "info" if answer is None or answer.get("e", {}).get("code") in ("timeout", "internal") else
                             "ok" if "r" in answer else "fail", seq)

    def _marked(self, room: str, outcome: Outcome, seq: int) -> None:
        self._history.note(self._device, room, "read", outcome, seq=seq)

    def _again(self, error: Map, room: str, lane: Lane, what: str) -> bool:
        """Whether a refusal asks to be tried again."""
        if error["retryable"] or error["code"] == "id_in_future":
            return True
        if error["code"] in ("forbidden", "not_found") and self._device.user not in ("alice", "bob", "carol"):
            lane.over = True  # shown out, and told so or not yet
        else:
            self._device.surprises.append(f"S9: {self._device.process} in {room}, {what}: {error}")
        return False

    def _attempt(self, op: Op, room: str, id: str, text: str, m: str, p: Map) -> "Attempt":
        """Say it, and note that."""
        attempt = Attempt(op, room, id, digest(text), self._command(m, p))
        for copy in range(attempt.answer.copies):
            self._note(room, op, "invoke", id, attempt.sha)
            if copy:
                self._note(room, op, "info", id, attempt.sha)  # one answer counts: what comes of the other copy is not known
        self._open.append(attempt)
        return attempt

    async def _answer(self, attempt: "Attempt") -> Map:
        """Its answer, noted; where none comes, the connection's end."""
        op, room, id, sha, answer, strange = attempt
        with trio.move_on_after(ANSWER_S):
            await answer.came.wait()
        if answer.frame is None:
            self._wire.drop()
            await trio.sleep_forever()
        self._open = [other for other in self._open if other.answer is not answer]
        frame = answer.frame
        assert frame is not None
        if "r" in frame:
            self._note(room, op, "ok", id, sha, frame["r"].get("seq", NOT_TOLD), frame["r"].get("duplicate", False))
        else:
            self._note(room, op, "info" if frame["e"]["code"] in ("timeout", "internal") or strange else "fail", id, sha)
            await trio.sleep(frame["e"].get("retry_after_ms", 500) / 1000)
        return frame

    async def _ask(self, m: str, p: Map, then: Callable[[Map], None] | None = None) -> Map | None:
        """A command and its answer; None when the connection must be dead."""
        answer = self._command(m, p, then)
        with trio.move_on_after(ANSWER_S):
            await answer.came.wait()
        return answer.frame

    def _command(self, m: str, p: Map, then: Callable[[Map], None] | None = None) -> "Answer":
        """Say it; now and then twice, as a network may bring it."""
        answer = Answer(then)
        answer.copies = 2 if m != "hello" and self._device.chance.random() < self._device.twice else 1
        for _ in range(answer.copies):
            self._i += 1
            self._replies[self._i] = answer.take
            self._wire.say(self._i, m, p)
        return answer

    def _note(self, room: str, op: Op, outcome: Outcome, id: str, sha: str, seq: int = 0, repeat: bool = False) -> None:
        _, epoch = self._device.last.get(room, (0, 0))
        self._history.note(self._device, room, op, outcome, id, sha, epoch, seq, repeat)


def to_entry(push: Map) -> Entry:
    """A durable push as an entry of the log; what is no message and no known act has neither id nor content."""
    p = push.get("p", {})
    if push["t"] == "message.new":
        gone = "deleted_at" in p
        return Entry(push["s"], p["id"], "" if gone else digest(p["text"]), p["sender"], gone)
    id, text = known_by(push["t"], p)
    return Entry(push["s"], id, digest(text), p.get("by") or p["user"]) if id else Entry(push["s"], gone=push["t"] == "skip")
