"""Classes of commands, and how many of each a caller may send: `burst` at once, and `per_s` a second after that.

Three kinds of callers have allowances: each user; the application, by whatever secret key it acts; and the tenant, which is all of
them together. docs/limits.md has the numbers for readers, docs/decisions/rate-limits.md the reasons.
"""

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

CLASSES = ("send", "read", "admin", "ephemeral", "connects", "upload")
"""send: messages. read: what changes nothing. admin: whatever else is durable. ephemeral: typing, presence, pointers. connects: hello and
fresh tokens. upload: files, which come later."""
SEND, READ, ADMIN, EPHEMERAL, CONNECTS, UPLOAD = range(len(CLASSES))

APPLICATION = ""
"""Whose allowance a secret key draws on, also when it acts for a user: the same as `Scope.user` of the application."""
TENANT = "*"
"""Everybody of the tenant together; no user's id."""

_EPHEMERAL = frozenset({"message.read", "message.delivered", "typing.start", "typing.stop", "presence.set"})
_READING = frozenset({"get", "list", "sync", "watch", "unwatch"})
_WINDOWS = 10
_SLICES = 5
"""A worker borrows at most this part of a burst at a time."""


class Allowance(NamedTuple):
    """A token bucket's measures."""

    per_s: float
    """Commands a second, in the long run."""
    burst: int
    """Commands at once, after a pause."""

    @property
    def slice(self) -> int:
        """What a worker holds of it at most, without having used it."""
        return max(1, self.burst // _SLICES)

    @property
    def window_s(self) -> int:
        """Seconds in which it fills up, rounded up."""
        return ceil(self.burst / self.per_s)

    @property
    def window_of_nodes_ms(self) -> int:
        """Windows in which all nodes together are counted: long ones, so that a burst more in each is little."""
        return _WINDOWS * self.window_s * 1_000

    @property
    def most_of_nodes(self) -> int:
        """What all nodes together may have in such a window: never less than one node may by itself."""
        return self.burst + ceil(self.per_s * _WINDOWS * self.window_s)


Allowances = tuple[Allowance, ...]
"""By class."""

_USER = (Allowance(10, 30), Allowance(50, 300), Allowance(10, 60), Allowance(50, 200), Allowance(1, 30), Allowance(1, 10))
_APPLICATION = (Allowance(100, 500),) * len(CLASSES)
_TENANT = (Allowance(1_000, 3_000), Allowance(5_000, 10_000), Allowance(500, 2_000), Allowance(5_000, 20_000), Allowance(500, 5_000),
           Allowance(50, 500))


class Policy(NamedTuple):
    """Who may send how much."""

    user: Allowances = _USER
    application: Allowances = _APPLICATION
    tenant: Allowances = _TENANT

    def of(self, subject: str) -> Allowances:
        """The allowances of a user's internal id, of APPLICATION or of TENANT."""
        return self.tenant if subject == TENANT else self.user if subject else self.application


def changed(allowances: Allowances, per_s: Mapping[str, float], bursts: Mapping[str, float]) -> Allowances:
    """The same, but for the classes named."""
    return tuple(Allowance(per_s.get(name, rate), int(bursts.get(name, burst))) for name, (rate, burst) in zip(CLASSES, allowances, strict=True))


def class_of(command: str, verb: str = "") -> str:
    """The class of a command that does not say its own: by its name, and the method of its route."""
    if command == "message.send":
        return "send"
    if command in _EPHEMERAL:
        return "ephemeral"
    return "read" if verb == "GET" or command.rpartition(".")[2] in _READING else "admin"
