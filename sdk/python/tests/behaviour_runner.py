"""Runs a behaviour case (`protocol/vectors/behaviours/README.md` says what each step means) against the core."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from caas_sdk import codec
from caas_sdk.core.core import Core
from caas_sdk.core.message import to_wire
from caas_sdk.core.outbox import Call
from caas_sdk.core.outputs import AskToken, Dial, HangUp, Send, Tell
from caas_sdk.errors import CaasError

FOLDER = Path(__file__).parents[3] / "protocol" / "vectors" / "behaviours"
START_MS = 1_700_000_000_000
Json = dict[str, Any]


def cases() -> Iterator[tuple[str, Json]]:
    """Every case of every file, with a name for it."""
    for path in sorted(FOLDER.glob("*.json")):
        for case in json.loads(path.read_text()):
            yield f"{path.stem}: {case['name']}", case


class Runner:
    """One client, its virtual clock, and the server's side of its socket."""

    def __init__(self, case: Json) -> None:
        chance = case.get("chance", 0.5)
        self.now = 0.0
        self._made = 0
        self.user = case.get("user", "alice")
        self.core = Core(now=0.0, wall_ms=case.get("wall_ms", START_MS), chance=lambda: chance, entropy=self._entropy,
                         retries=case.get("retries"))
        self.calls: dict[str, Call] = {}
        self.events: list[tuple[str, Any]] = []
        self.unanswered: list[codec.Frame] = []
        self.sent: list[codec.Frame] = []
        self.acked: list[tuple[str, int]] = []
        self.dialled = 0
        self.asked_token = self.hung_up = False

    def run(self, steps: list[Json]) -> None:
        for place, step in enumerate(steps):
            for verb, given in step.items():
                if verb in ("as", "r", "e"):
                    continue
                try:
                    _VERBS[verb](self, given, step)
                except AssertionError as error:
                    raise AssertionError(f"step {place} {json.dumps(step)[:300]}: {error}") from error
                self._drain()

    def _entropy(self, size: int) -> bytes:
        self._made += 1
        return self._made.to_bytes(size, "big")

    def _drain(self) -> None:
        for output in self.core.take_outputs():
            if isinstance(output, Send):
                frames = codec.decode(output.data)
                self.sent += [frame for frame in frames if frame["m"] != "message.delivered"]
                self.acked += [(frame["p"]["c"], frame["p"]["seq"]) for frame in frames if frame["m"] == "message.delivered"]
                self.unanswered += [frame for frame in frames if "i" in frame]
            elif isinstance(output, Dial):
                self.dialled = output.socket
            elif isinstance(output, AskToken):
                self.asked_token = True
            elif isinstance(output, HangUp):
                self.hung_up = True
            elif isinstance(output, Tell) and output.name != "changed":
                self.events.append((output.name, output.what))

    # --- the steps

    def at(self, moment: float, step: Json) -> None:
        assert moment >= self.now
        while (due := self.core.next_at(self.now)) is not None and due <= moment:
            self.now = max(due, self.now + 1e-6)
            self.core.tick(self.now)
            self._drain()
        self.now = moment
        self.core.tick(self.now)

    def connect(self, given: Any, step: Json) -> None:
        self.core.connect(self.now)

    def disconnect(self, given: Any, step: Json) -> None:
        self.core.disconnect(self.now)

    def token(self, given: str, step: Json) -> None:
        assert self.asked_token, "no token was asked for"
        self.asked_token = False
        self.core.token(given, self.now)

    def open(self, given: Any, step: Json) -> None:
        assert self.dialled, "no socket was asked for"
        self.unanswered.clear()
        self.hung_up = False
        self.core.opened(self.dialled, self.now)

    def close(self, code: int | None, step: Json) -> None:
        self.core.closed(self.dialled, code, self.now)

    def hello(self, given: Json, step: Json) -> None:
        r = {"protocol": "caas.v1", "session": "s", "user": {"id": self.user}, "server_time": START_MS + int(self.now * 1000), "heartbeat_s": 15,
             "limits": {}, "me": {"head": 0, "epoch": 1, "read": {}, "delivered": {}}, "conversations": {}, **given}
        self._answer({"m": "hello"}, {"r": r})

    def up(self, given: Json, step: Json) -> None:
        """Connect, be given a token, open, say hello: all of it at once."""
        self.core.connect(self.now)
        self._drain()
        self.token("t", step)
        self._drain()
        self.open(None, step)
        self._drain()
        self.hello(given, step)
        self._drain()
        self.sent.clear()

    def back(self, given: Json, step: Json) -> None:
        """The next socket opens, and hello is answered."""
        self.at(self.now + 40.0 if self.core.connection.wait_until is not None else self.now, step)
        self._drain()
        self.open(None, step)
        self._drain()
        self.hello(given, step)

    def reply(self, wanted: Json, step: Json) -> None:
        self._answer(wanted, {key: step[key] for key in ("r", "e") if key in step})

    def push(self, frames: Json | list[Json], step: Json) -> None:
        self.core.received(self.dialled, codec.encode(frames), self.now)  # type: ignore[arg-type]

    def raw(self, given: Json, step: Json) -> None:
        """Bytes as they are, which may be no frame."""
        self.core.received(self.dialled, bytes.fromhex(given["msgpack"]), self.now)

    def do(self, given: Json, step: Json) -> None:
        act, p = given["m"], given.get("p", {})
        place = (p.get("c", ""), p.get("thread"), p.get("kind", "text"))
        other: dict[str, Callable[[], Any]] = {
            "retry": lambda: self.core.retry(p["id"], self.now), "discard": lambda: self.core.discard(p["id"]),
            "key": lambda: self.core.key(place, self.now), "stop_typing": lambda: self.core.stop_typing(place, self.now),
            "mark_read": lambda: self.core.mark_read(p["c"], p["seq"], self.now), "unwatch": lambda: self.core.unwatch(p["c"], self.now),
        }
        try:
            made = other[act]() if act in other else self.core.request(act, p, self.now)
        except CaasError as error:
            made = Call(act, {}, "read")
            made.settle(error=error)
        if "as" in step:
            self.calls[step["as"]] = made

    def frames(self, wanted: list[Json], step: Json) -> None:
        """What was sent since this was last looked at."""
        got, self.sent = self.sent, []
        got, wanted = sorted(got, key=_name), sorted(wanted, key=_name)
        assert [_name(frame) for frame in got] == [_name(frame) for frame in wanted], [(frame["m"], frame["p"]) for frame in got]
        for frame, one in zip(got, wanted, strict=True):
            _match(frame["p"], one.get("p", {}), one["m"])

    def acks(self, wanted: dict[str, list[int]], step: Json) -> None:
        """The delivered pointers told since this was last looked at."""
        got: dict[str, list[int]] = {}
        for c, seq in self.acked:
            got.setdefault(c, []).append(seq)
        self.acked.clear()
        assert got == wanted, got

    def expect(self, wanted: Json, step: Json) -> None:
        for about, what in wanted.items():
            _EXPECT[about](self, what)

    def _answer(self, wanted: Json, outcome: Json) -> None:
        for frame in self.unanswered:
            if frame["m"] == wanted["m"] and _fits(frame["p"], wanted.get("p", {})):
                self.unanswered.remove(frame)
                self.core.received(self.dialled, codec.encode({"i": frame["i"], **outcome}), self.now)
                return
        raise AssertionError(f"nothing like it is unanswered: {[(frame['m'], frame['p']) for frame in self.unanswered]}")

    # --- what is expected

    def _state(self, wanted: str) -> None:
        assert self.core.connection.state == wanted, (self.core.connection.state, self.core.connection.reason)

    def _list(self, wanted: Json) -> None:
        for c, items in wanted.items():
            got = [{**to_wire(message), "status": message.status} for message in self.core.state.show(c)]
            assert len(got) == len(items), got
            for message, one in zip(got, items, strict=True):
                _match(message, one, c)

    def _outbox(self, wanted: Json) -> None:
        for c, items in wanted.items():
            got = [{"id": one.id, "status": one.status} for one in self.core.state.letters.of(c, self.user)]
            assert got == items, got

    def _rooms(self, wanted: Json) -> None:
        for c, what in wanted.items():
            if what is None:
                assert c not in self.core.state.rooms
                continue
            room = self.core.state.rooms[c]
            _match({"state": room.state, "error": room.error, "seq": room.stream.seq, "role": room.role, "capabilities": sorted(room.capabilities),
                    "conversation": room.conversation}, what, c)

    def _conversations(self, wanted: list[Json]) -> None:
        rows = [{"id": row.id, "unread": row.unread, "unread_mentions": row.unread_mentions, "name": row.conversation.get("name")}
                for row in self.core.state.inbox.sorted()]
        assert len(rows) == len(wanted), rows
        for row, one in zip(rows, wanted, strict=True):
            _match(row, one, row["id"])

    def _typing(self, wanted: Json) -> None:
        for c, users in wanted.items():
            got = [typer.user for typer in self.core.state.rooms[c].typers.all()]
            assert got == users, got

    def _presence(self, wanted: Json) -> None:
        for user, what in wanted.items():
            _match(self.core.state.presence.get(user, {}), what, user)

    def _outcome(self, wanted: Json) -> None:
        for name, what in wanted.items():
            call = self.calls[name]
            if what == "pending":
                assert not call.done
            elif "error" in what:
                assert call.error is not None and call.error.code == what["error"], call.error
            else:
                assert call.done and call.error is None, call.error
                _match(call.result, what, name)

    def _events(self, wanted: list[str]) -> None:
        got, self.events = [name for name, _ in self.events], []
        assert got == wanted, got

    def _blocked(self, wanted: list[str]) -> None:
        assert sorted(self.core.state.inbox.blocked) == wanted

    def _next_try_s(self, wanted: float) -> None:
        due = self.core.connection.wait_until
        assert due is not None and abs(due - self.now - wanted) < 1e-6, due

    def _hung_up(self, wanted: bool) -> None:
        assert self.hung_up is wanted

    def _asks_token(self, wanted: bool) -> None:
        assert self.asked_token is wanted


def _name(frame: Json) -> str:
    return str(frame["m"])


def _fits(got: Any, wanted: Json) -> bool:
    return all(got.get(key) == value for key, value in wanted.items())


def _match(got: Json, wanted: Json, where: str) -> None:
    """Every key of `wanted` is so in `got`; null: it is not there."""
    for key, value in wanted.items():
        if value is None:
            assert got.get(key) is None, f"{where}.{key}: {got[key]!r} should not be there"
        elif isinstance(value, dict) and isinstance(got.get(key), dict) and value:
            _match(got[key], value, f"{where}.{key}")
        else:
            assert got.get(key) == value, f"{where}.{key}: {got.get(key)!r}, not {value!r}"


_VERBS: dict[str, Callable[[Runner, Any, Json], None]] = {
    name: getattr(Runner, name) for name in ("at", "connect", "disconnect", "token", "open", "close", "hello", "up", "back", "reply", "push", "raw",
                                             "do", "frames", "acks", "expect")
}
_EXPECT: dict[str, Callable[[Runner, Any], None]] = {
    name: getattr(Runner, f"_{name}") for name in ("state", "list", "outbox", "rooms", "conversations", "typing", "presence", "outcome", "events",
                                                   "blocked", "next_try_s", "hung_up", "asks_token")
}
