"""The other side of a measurement, in a process of its own: `python -m bench.generator`, then one JSON command a line, one answer each.

    {"do": "open", "port": 1, "tokens": [...], "count": 10000}          connections, greeted; the tokens in turn
    {"do": "idle", "for_s": 5}                                          answer pings, no more
    {"do": "watch", "conversations": [[...], ...]}                      connection by connection: what it watches from now on
    {"do": "fan", "conversation": "c", "messages": 200, "size": 100}   the first sends, one at a time, when all have the one before
    {"do": "pairs", "conversations": [...], "for_s": 10, "size": 100}  the even ones send, one outstanding each

    {"do": "fill", "of": 3, "member": "a", "conversations": [...]}     that connection makes groups with a member, and says one thing in each
    {"do": "list", "of": 0, "times": 100}                               that connection asks for its list, and reads a message in between

Everything measured is in seconds.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgpack

from bench.wire import Closed, Herd, Socket, command, new_id

_AT_ONCE = 32
"""Commands in one frame."""
_MANY = 200
"""Connections from one source address."""


class Generator:
    """Connections, and what is done with them."""

    def __init__(self) -> None:
        self._herd, self._all = Herd(), list[Socket]()

    def open(self, port: int, tokens: Sequence[str], count: int) -> dict[str, Any]:
        """Connect `count` times, from addresses 127.0.0.x."""
        began = time.monotonic()
        for number in range(count):
            one = Socket(("127.0.0.1", port), f"127.0.0.{2 + number // _MANY % 250}", tokens[number % len(tokens)])
            self._all.append(one)
            self._herd.add(one)
            if not number % 500:
                self._herd.idle(0.001)
        return {"seconds": time.monotonic() - began}

    def idle(self, for_s: float) -> dict[str, Any]:
        """Wait."""
        self._herd.idle(for_s)
        return {}

    def watch(self, conversations: Sequence[Sequence[str]]) -> dict[str, Any]:
        """Watch."""
        for one, names in zip(self._all, conversations, strict=False):
            for name in names:
                one.ask("conversation.watch", c=name)
        return {}

    def fan(self, conversation: str, messages: int, size: int) -> dict[str, Any]:
        """Messages one by one to all: how long until the last has each."""
        took = []
        for _ in range(messages):
            left, text = len(self._all), "x" * size

            def take(one: Socket, payloads: list[bytes]) -> None:
                nonlocal left
                left -= sum(payload.count(b"message.new") for payload in payloads)

            began = time.monotonic()
            self._all[0].sock.send(command(7, "message.send", c=conversation, id=new_id(), text=text))
            while left > 0:
                if time.monotonic() - began > 10:
                    raise Closed(f"{left} of {len(self._all)} deliveries did not come within 10 s")
                self._herd.poll(1, take)
            took.append(time.monotonic() - began)
        return {"deliveries": messages * len(self._all), "to_the_last": took}

    def pairs(self, conversations: Sequence[str], for_s: float, size: int) -> dict[str, Any]:
        """One outstanding send in each conversation, again and again: how long each acknowledgement took."""
        senders = dict(zip(self._all[::2], conversations, strict=False))
        sent: dict[Socket, float] = {}
        took, refused, text, until = list[float](), list[Any](), "x" * size, time.monotonic() + for_s

        def send(one: Socket) -> None:
            sent[one] = time.monotonic()
            one.sock.send(command(7, "message.send", c=senders[one], id=new_id(), text=text))

        def take(one: Socket, payloads: list[bytes]) -> None:
            for payload in payloads:
                if one in sent and b"\xa1i\x07" in payload and (answer := _answer(payload)):
                    took.append(time.monotonic() - sent.pop(one))
                    refused.extend([answer["e"]] if "e" in answer else [])
                    if time.monotonic() < until:
                        send(one)

        for one in senders:
            send(one)
        while sent:
            if time.monotonic() > until + 15:
                raise Closed(f"{len(sent)} sends were not answered")
            self._herd.poll(1, take)
        return {"acknowledged": len(took) - len(refused), "refused": refused[:3], "took": took, "seconds": time.monotonic() - until + for_s}

    def fill(self, of: int, member: str, conversations: Sequence[str]) -> dict[str, Any]:
        """Groups of two, each with one message."""
        for begin in range(0, len(conversations), _AT_ONCE):
            some = conversations[begin : begin + _AT_ONCE]
            self._all[of].ask_all([("conversation.create", {"type": "group", "id": name, "members": [member], "name": name}) for name in some])
            self._all[of].ask_all([("message.send", {"c": name, "id": new_id(), "text": "x" * 100}) for name in some])
        return {}

    def list(self, of: int, times: int) -> dict[str, Any]:
        """How long the first page of a list took, while the user reads."""
        took, row = list[float](), dict[str, Any]()
        for _ in range(times):
            began = time.monotonic()
            page = self._all[of].ask("conversation.list")
            took.append(time.monotonic() - began)
            row = page["items"][len(took) % len(page["items"])]
            self._all[of].ask("message.read", c=row["conversation"]["id"], seq=row["conversation"]["head"])
        return {"took": took}

    def close(self) -> None:
        """End."""
        self._herd.close()


def _answer(payload: bytes) -> dict[str, Any] | None:
    said = msgpack.unpackb(payload)
    return next((one for one in (said if isinstance(said, list) else [said]) if one.get("i") == 7), None)


def main() -> None:
    """Obey until standard input ends."""
    generator = Generator()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(generator, asked.pop("do"))(**asked)
        except (Closed, OSError) as failed:
            answer = {"failed": f"{type(failed).__name__}: {failed}"}
        print(json.dumps(answer), flush=True)
    generator.close()


if __name__ == "__main__":
    main()
