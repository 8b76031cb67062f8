"""Clients that ask one thing after another, in a process of their own: `python -m bench.asker`, then one JSON command a line, one answer each.

    {"do": "open", "port": 1, "tokens": [...], "count": 3}             connections, greeted; the tokens in turn
    {"do": "idle", "for_s": 5}                                          answer pings, no more
    {"do": "fill", "of": 3, "member": "a", "conversations": [...]}     that connection makes groups with a member, and says one thing in each
    {"do": "list", "of": 0, "times": 100}                               that connection asks for its list, and reads a message in between

Everything measured is in seconds. Load comes from the other generator, bench/generator/.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.wire import Closed, Herd, Socket, new_id

_AT_ONCE = 32
"""Commands in one frame."""
_MANY = 200
"""Connections from one source address."""


class Asker:
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


def main() -> None:
    """Obey until standard input ends."""
    asker = Asker()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(asker, asked.pop("do"))(**asked)
        except (Closed, OSError) as failed:
            answer = {"failed": f"{type(failed).__name__}: {failed}"}
        print(json.dumps(answer), flush=True)
    asker.close()


if __name__ == "__main__":
    main()
