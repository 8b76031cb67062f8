"""Acts and verdicts: what a command asks of a conversation's log, and what the log decided.

A command that changes something durable in a conversation makes an `Act`. The conversation's room seals it, appends it, reads it
back and gives the `Verdict`. Nothing here waits.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from services.scope import Scope


class Act(msgspec.Struct, frozen=True, gc=False):
    """One durable thing that somebody wants to happen in a conversation. Small enough to travel between workers."""

    conversation: str
    kind: str
    op: bytes
    digest: bytes
    facts: dict[str, Any]
    """What the fold decides by; stays readable for ever, so nothing that people wrote."""
    body: dict[str, Any]
    """What people get: the push's `p` as far as the writer knows it; sealed in the log."""
    actor: str = ""
    external: str = ""
    after: bytes | None = None
    """The sender's previous act here that must come first."""
    refusal: str = ""
    """A code: what an early look found against it. A repeat of an accepted act has its first answer all the same."""
    moot: bool = False
    """An early look found that it would change nothing."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What became of an act: its seq, or why not."""

    seq: int
    """Its place in the conversation; with `unchanged`, the head."""
    n: int = 0
    at: int = 0
    duplicate: bool = False
    unchanged: bool = False


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What the handler of a durable command gives back: the act, and how to make the reply `r` of its verdict."""

    act: Act
    answer: Callable[[Verdict], Any]
    """From the verdict to `r` (a dict), or to an awaitable of it."""


class View(msgspec.Struct, frozen=True, gc=False):
    """What somebody wants to know of a conversation: `what` is about, members, rights, read, find or reached."""

    what: str = "about"
    after: int = 0
    before: int = 0
    limit: int = 0
    own: bool = False
    """The server asks for a user's own personal conversation."""
    floor: int = 0
    """A seq that the client has seen: the room waits for it for a moment."""
    place: Sequence[int] = ()
    """A place that storage has come to: likewise."""
    op: bytes = b""
    """The act to find."""
    sure: bool = False
    """Whether the room is to read first what other nodes had decided when it was asked."""
    users: Sequence[str] = ()
    """Of rights: internal ids of those concerned."""


class Rooms(Protocol):
    """What services may ask of conversations, wherever these live. Implemented by actors/router.py."""

    async def submit(self, scope: Scope, act: Act) -> Verdict:
        """Have an act decided. Raises Refused (also `timeout`, `unavailable`)."""
        ...

    def say(self, scope: Scope, act: Act) -> None:
        """As `submit`, whatever comes of it. Never waits."""
        ...

    async def signal(self, scope: Scope, conversation: str, what: str, p: dict[str, Any], *, again: bool = False) -> Any:
        """Do something ephemeral in a conversation: `what` is `<part>.<verb>` of a room's part (actors/ephemeral/). Gives the part's
        answer; raises Refused. Nothing of it is logged, and it may be lost with its worker. With `again` a room that is just
        moving is asked again for a while: for what does no harm when it is done twice."""
        ...

    def signal_now(self, scope: Scope, conversation: str, what: str, p: dict[str, Any]) -> Any:
        """As `signal`, if the answer is at hand: None when it would have to be waited for, or asked for again. Then nothing was done that
        `signal` would not do once more."""
        ...

    def hint(self, scope: Scope, conversation: str, what: str, p: dict[str, Any]) -> None:
        """As `signal`, whatever comes of it. Never waits."""
        ...

    async def view(self, scope: Scope, conversation: str, ask: View) -> dict[str, Any]:
        """Ask a conversation's room what the scope may know of it. Raises Refused.

        about: {head (services/heads.py), role, capabilities, epoch}; members: that, and rows [(user, role, at, nth)] by nth,
        after `after`; rights: that, and {roles: {user: role}, granted: {role: [capability]}} of `users`; read: that, and `stored`
        (all up to this seq is in storage) and rows [(seq, n, data)] beyond it, in order, after < seq < before, and `late`; find: that,
        `found` ([(seq, n, data)], when the act `op` is not stored yet) and `late`: rows [(seq, n, place, data)] of entries that amend
        documents and are not stored yet; reached: of the last message at or before the seq `after` {n, sender} alone
        (actors/viewing.py).
        """
        ...

    def view_now(self, scope: Scope, conversation: str, ask: View) -> dict[str, Any] | None:
        """As `view`, if the answer is at hand: None when it would have to be waited for. Raises Refused."""
        ...
