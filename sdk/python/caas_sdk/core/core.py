"""The client, whole: frames in and out, the connection, calls, and what is known. No I/O, no clock, no chance of its own.

Times are seconds of whatever steady clock the face has; `wall_ms` says once what the wall clock showed, until `hello` tells the server's.
After each call of a method, `take_outputs` gives what is to be done, and `next_at` when to `tick`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from caas_sdk import codec, protocol
from caas_sdk.core.commands import id_field, kind_of, measure
from caas_sdk.core.connection import Connection, Step
from caas_sdk.core.letters import show
from caas_sdk.core.message import Message
from caas_sdk.core.outbox import HELLO, MOST_FLYING, Call, Kind, Outbox
from caas_sdk.core.outputs import AskToken, Changed, Dial, HangUp, Output, Send, StateChange, Tell
from caas_sdk.core.state import State
from caas_sdk.core.typing import Keys, Place
from caas_sdk.errors import CaasError, Disconnected, from_wire
from caas_sdk.ids import make_id

_UNANSWERED_S = 60.0
"""A command that flies so long was lost by whoever is at the other end: another connection may do better."""


class Core:
    """One user's client."""

    def __init__(self, *, now: float, wall_ms: int, chance: Callable[[], float], entropy: Callable[[int], bytes],
                 device: Mapping[str, str] | None = None, retries: int | None = None) -> None:
        self.connection = Connection(chance, retries)
        self.outbox = Outbox(chance)
        self.state = State(self._ask, self._tell, self._finish)
        self.keys = Keys()
        self.limits = dict(protocol.LIMITS)
        self._entropy, self._device = entropy, device
        self._base_ms = wall_ms - now * 1000
        self._outputs: list[Output] = []
        self._heard = now
        self._resumed: set[str] = set()
        self._refresh_at: float | None = None
        self._asking = False
        self._met = False

    # --- what people want

    def connect(self, now: float) -> None:
        """Be connected, until `disconnect`."""
        self._step(self.connection.connect(now, self.server_ms(now)), now)

    def disconnect(self, now: float, reason: str = "logout") -> None:
        """Log out: nothing is sent any more, and what waits has failed."""
        self.connection.log_out(reason)
        self._lost()

    def request(self, command: str, p: Mapping[str, Any], now: float) -> Call:
        """Ask the server for something, under any name of a command. Raises CaasError for what cannot be sent at all."""
        name = protocol.canonical(command)
        call = Call(name, dict(p), kind_of(name))
        self._identify(call, now)
        measure(call, self.limits)
        self._begin(call, now)
        self._flush(now)
        return call

    def send(self, c: str, content: Mapping[str, Any], now: float) -> tuple[Message, Call]:
        """Send a message; as it is shown meanwhile, and the call that says how it ends."""
        call = self.request("message.send", {"c": c, **content}, now)
        return show(call, self.server_ms(now), self.state.me), call

    def retry(self, id_: str, now: float) -> Call:
        """Send a failed message again, under the same id. Raises CaasError when there is none."""
        call = self._failed_letter(id_)
        call.again()
        self.state.letters.take(id_)
        self._begin(call, now)
        self._flush(now)
        return call

    def discard(self, id_: str) -> None:
        """Give a failed message up. Raises CaasError when there is none."""
        call = self._failed_letter(id_)
        self.state.letters.take(id_)
        self.state.touch(call.p["c"])

    def give_up(self, call: Call, error: CaasError) -> None:
        """Nobody waits for this call any more. A message is sent all the same; what was sent already may take effect."""
        if not call.is_message:
            self.outbox.finish(call, error=error)

    def unwatch(self, c: str, now: float) -> Call:
        """Leave a room, and forget what was in it."""
        self.state.rooms.pop(c, None)
        return self.request("conversation.unwatch", {"c": c}, now)

    def mark_read(self, c: str, seq: int, now: float) -> None:
        """One has read a conversation up to here."""
        self.state.read_to(c, seq)
        self.state.pointers.move("message.read", c, seq)
        self._flush(now)

    def key(self, place: Place, now: float) -> None:
        """A key was pressed where a message is being written."""
        if self.connection.up:
            self._say(self.keys.key(place, now), now)

    def stop_typing(self, place: Place, now: float) -> None:
        """The input is empty again."""
        self._say(self.keys.stop(place), now)

    # --- what the face tells

    def token(self, token: str, now: float) -> None:
        """The token that was asked for."""
        self._asking = False
        if self.connection.up:
            self.connection.set_token(token)
            self._ask("token.refresh", {"token": token}, "bound")
            self._plan_refresh(now)
            self._flush(now)
        else:
            self._step(self.connection.use_token(token, now), now)

    def token_failed(self, now: float) -> None:
        """No token could be had."""
        self._asking = False
        if self.connection.up:
            self._plan_refresh(now)
        elif self.connection.token_failed(now):
            self._lost()

    def opened(self, socket: int, now: float) -> None:
        """The socket is open."""
        if socket == self.connection.socket:
            self._heard = now
            self._step(self.connection.opened(now), now)

    def heard(self, socket: int, now: float) -> None:
        """Something came that is no frame of ours: a ping, say."""
        if socket == self.connection.socket:
            self._heard = now

    def received(self, socket: int, data: bytes, now: float) -> None:
        """A frame came."""
        if socket != self.connection.socket:
            return None
        self._heard = now
        try:
            frames = codec.hear(data)
        except ValueError:
            return self._step(self.connection.lost(None, now), now)
        for frame in frames:
            if socket == self.connection.socket:
                self._take(frame, now)
        self._flush(now)
        return None

    def closed(self, socket: int, code: int | None, now: float) -> None:
        """The socket has closed, or could not be opened. `code`: of the close frame, where there was one."""
        if socket != self.connection.socket:
            return
        if code == protocol.MESSAGE_TOO_BIG and (call := self.outbox.largest_flying()) is not None:
            self.outbox.finish(call, error=CaasError("too_large", "the server does not take a frame as large as this command's"))
        self._step(self.connection.lost(code, now), now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        dead = self.connection.up and now >= self._dead_at()
        self._step(self.connection.lost(None, now) if dead else self.connection.tick(now, self.server_ms(now)), now)
        if self.connection.up and self._refresh_at is not None and now >= self._refresh_at:
            self._refresh_at = None
            self._ask_token()
        self._say(self.keys.tick(now), now)
        self.state.tick(now, up=self.connection.up)
        self._flush(now)

    def next_at(self, now: float) -> float | None:
        """When to tick next."""
        connection = self.connection
        moments = [connection.wait_until, connection.deadline, self.state.next_at(now, up=connection.up)]
        if connection.up:
            moments += [self._dead_at(), self._refresh_at, self.outbox.next_due(now), self.keys.next_at(), self.state.pointers.next_at()]
        return min((at for at in moments if at is not None), default=None)

    def take_outputs(self) -> list[Output]:
        """What is to be done, in order."""
        self._tell_states()
        for c in sorted(self.state.changed):
            self._tell("changed", Changed(c))
        self.state.changed.clear()
        outputs, self._outputs = self._outputs, []
        return outputs

    def server_ms(self, now: float) -> int:
        """The server's time, in ms since 1970."""
        return int(self._base_ms + now * 1000)

    # --- connection

    def _step(self, step: Step, now: float) -> None:
        if step is Step.ASK_TOKEN:
            self._ask_token()
        elif step is Step.DIAL:
            self._outputs.append(Dial(self.connection.socket))
        elif step is Step.GREET:
            self._greet()
        elif step is Step.HANG_UP:
            self._lost()

    def _ask_token(self) -> None:
        if not self._asking:
            self._asking = True
            self._outputs.append(AskToken())

    def _greet(self) -> None:
        resume = self.state.resume(self.limits["resume"])
        self._resumed = set(resume)
        p: dict[str, Any] = {"token": self.connection.token, "sdk": protocol.SDK}
        if self._device:
            p["device"] = dict(self._device)
        if resume:
            p["resume"] = resume
        self._outputs.append(Send(codec.encode({"i": HELLO, "m": "hello", "p": p})))

    def _lost(self) -> None:
        """The connection is gone, for now or for good."""
        self._outputs.append(HangUp())
        self.outbox.cut(Disconnected("connection lost"))
        self.keys.clear()
        self.state.cut()
        if self.connection.state in ("disconnected", "auth_failed"):
            self.outbox.fail_all(Disconnected(self.connection.reason))

    def _dead_at(self) -> float:
        silent = self._heard + protocol.SILENCE_S
        since = self.outbox.flying_since()
        if since is None:
            return silent
        return min(silent, max(self._heard, since) + protocol.ANSWER_SILENCE_S, since + _UNANSWERED_S)

    def _plan_refresh(self, now: float) -> None:
        expires_at = self.connection.token_expires_at
        if expires_at:
            left_s = (expires_at - self.server_ms(now)) / 1000
            self._refresh_at = now + max(left_s - min(protocol.REFRESH_BEFORE_MS / 1000, left_s / 2), 5.0)

    # --- frames

    def _take(self, frame: codec.Frame, now: float) -> None:
        if "t" in frame:
            self.state.push(frame, now, self.server_ms(now))
        elif frame.get("i") == HELLO:
            self._greeted(frame, now)
        elif (call := self.outbox.answered(frame.get("i", 0))) is not None:
            self._answered(call, frame, now)

    def _greeted(self, frame: codec.Frame, now: float) -> None:
        if "e" in frame:
            return self._step(self.connection.refused(from_wire(frame["e"]), now), now)
        r = frame["r"]
        if self.state.me not in ("", r["user"]["id"]):  # what is known, and waits to be sent, is somebody else's
            return self._step(self.connection.log_out("another_user"), now)
        self.limits |= r.get("limits") or {}
        off_ms = r["server_time"] - self.server_ms(now)
        self._base_ms += off_ms
        if not self._met and abs(off_ms) > protocol.CLOCK_TOLERANCE_MS:
            self._identify_anew(now)
        self._met = True
        self.connection.greeted(now)
        self._plan_refresh(now)
        self.state.greeted(r, self._resumed)
        return None

    def _answered(self, call: Call, frame: codec.Frame, now: float) -> None:
        if "e" not in frame:
            return self.outbox.finish(call, result=frame.get("r") or {})
        error = from_wire(frame["e"])
        if error.retryable:
            self.outbox.retry(call, error, now)
        else:
            self.outbox.finish(call, error=error)
        return None

    def _flush(self, now: float) -> None:
        if not self.connection.up:
            return
        for command, c, seq in self.state.pointers.take(now):
            self._ask(command, {"c": c, "seq": seq}, "read")
        while calls := self.outbox.take(now):
            encoded = [codec.encode({"i": call.i, "m": call.command, "p": call.p}) for call in calls]
            for _, data in codec.gather(encoded, self.limits["frame"], self.limits["batch"]):
                self._outputs.append(Send(data))
            if len(calls) < MOST_FLYING:
                break

    def _say(self, said: list[tuple[str, Place]], now: float) -> None:
        for command, (c, thread, kind) in said if self.connection.up else ():
            p = {"c": c, "kind": kind} if thread is None else {"c": c, "kind": kind, "thread": thread}
            self._ask(command, p, "fleeting")
        self._flush(now)

    # --- calls

    def _ask(self, command: str, p: dict[str, Any], kind: Kind) -> Call:
        """What the client asks for by itself: it happens on this connection, or not at all."""
        call = Call(command, p, kind)
        if self.connection.up:
            self.outbox.add(call)
            self.state.asked(call)
            call.then(self._settled)
        else:
            call.settle(error=Disconnected("not connected"))
        return call

    def _begin(self, call: Call, now: float) -> None:
        if self.connection.state in ("disconnected", "auth_failed") and not call.is_message:
            raise Disconnected(self.connection.reason or "connect first")
        if call.command == "conversation.watch":
            self._watch(call)
        self.outbox.add(call)
        self.state.asked(call)
        call.then(self._settled)
        if call.is_message:
            self.state.letters.add(call, self.server_ms(now))
            self.keys.sent(call.p["c"])
            self.state.touch(call.p["c"])

    def _watch(self, call: Call) -> None:
        room = self.state.join(call.p["c"])
        if room.stream.seq is not None and "after" not in call.p:
            call.p |= {"after": room.stream.seq, "epoch": room.stream.epoch}

    def _settled(self, call: Call) -> None:
        if call.is_message:
            return self._letter_settled(call)
        if call.error is None and call.command == "token.refresh":
            self.connection.set_token(call.p["token"], call.result.get("expires_at"))
        return self.state.answered(call)

    def _letter_settled(self, call: Call) -> None:
        if call.error is None:
            return self.state.sent(call)
        self.state.touch(call.p["c"])
        message = next(one for one in self.state.letters.of(call.p["c"], self.state.me) if one.id == call.p["id"])
        self._tell("failed", message)
        return None

    def _failed_letter(self, id_: str) -> Call:
        call = self.state.letters.get(id_)
        if call is None or call.error is None:
            raise CaasError("not_found", f"there is no failed message {id_}")
        return call

    def _identify(self, call: Call, now: float) -> None:
        if field := id_field(call):
            call.p.setdefault(field, self._new_id(now))

    def _identify_anew(self, now: float) -> None:
        """Ids that were made by a clock that went wrong, of calls that were never sent."""
        for call in self.outbox.unsent():
            field = id_field(call)
            old, call.p[field] = call.p[field], self._new_id(now)
            if call.is_message:
                self.state.letters.renamed(old, call.p["id"])
                self.state.touch(call.p["c"])

    def _new_id(self, now: float) -> str:
        return make_id(self.server_ms(now), self._entropy(10))

    def _finish(self, call: Call, result: dict[str, Any]) -> None:
        self.outbox.finish(call, result=result)

    def _tell(self, name: str, what: Any) -> None:
        self._tell_states()
        self._outputs.append(Tell(name, what))

    def _tell_states(self) -> None:
        for state, reason, wait_s in self.connection.changes:
            self._outputs.append(Tell("state", StateChange(state, reason, wait_s)))
        self.connection.changes.clear()
