"""Across: what a node tells the others on the bus, and what it hears of them. Hints alone: whatever must not be lost is in the log.

One topic, so that all that one worker says arrives in the order in which it said it. A message is a plain list: the node, what it is, and
its parts. Every worker of every node hears it; what a node's own workers have to know, they are told over their links, so a node does not
listen to itself. What is not understood is ignored: nodes of two programs talk to each other while one is upgraded.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from actors.keys import Key
from actors.messages import Signal
from services.scope import Scope
from storage.ports.bus import Bus

_log = logging.getLogger("actors.across")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Any]).decode

TOPIC = "nodes"
Handle = Callable[..., None]
"""Called with the parts of a message; it must not wait."""


class Across:
    """One worker's ear and mouth. Without a name of its own a node is alone: nothing is said, and nothing heard."""

    def __init__(self, node: str, bus: Bus) -> None:
        self.node, self._bus = node, bus
        self._handles: dict[str, Handle] = {}
        self.told = self.heard = 0
        if node:
            bus.subscribe(TOPIC, self._hear)

    def __bool__(self) -> bool:
        """Whether there may be other nodes."""
        return bool(self.node)

    def on(self, what: str, handle: Handle) -> None:
        """Whom to call with what other nodes say."""
        self._handles[what] = handle

    def tell(self, what: str, *parts: Any) -> None:
        """Say something to all other nodes. May be lost."""
        if self.node:
            self.told += 1
            self._bus.publish(TOPIC, _pack([self.node, what, *parts]))

    def tell_signal(self, key: Key, signal: Signal) -> None:
        """Something ephemeral has happened in a conversation: for the rooms that others have of it."""
        self.tell("signal", *key, msgspec.structs.astuple(signal.scope), signal.what, signal.p)

    def _hear(self, message: bytes) -> None:
        """What another node's worker says. Whatever is wrong with it is that one's mistake, and ends nothing here."""
        try:
            node, what, *parts = _unpack(message)
            if node == self.node or what not in self._handles:
                return
            self.heard += 1
            self._handles[what](*parts)
        except (msgspec.DecodeError, TypeError, ValueError, KeyError, LookupError) as error:
            _log.warning("another node says what cannot be understood: %r", error)


def signal_of(scope: list[Any], what: str, p: dict[str, Any]) -> Signal:
    """The signal, on the other side."""
    return Signal(Scope(*scope), what, p)
