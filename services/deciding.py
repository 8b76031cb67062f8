"""The fold: what a conversation is after its log up to a place, and the verdict on each entry.

`Fold.apply` is pure and total: no clock, no chance, no I/O; it never raises. Every node that folds the same log reaches the same
verdicts, which is why there is no leader here (docs/semantics.md). What is special to a kind of entry comes from the services'
own parts (`services/*/fold.py`), handed in as one table by `caas/wiring.py`; this file knows seq, window, rights and floor.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from protocol.ids import act_time
from storage.ports.entry import NOWHERE, Entry, Place
from storage.ports.log import Change

RULES = 1
"""The largest rules number this program knows. Constants that decide belong to a number and are never configuration."""

FIRST_RULES = 1
"""What a conversation begins with, whoever folds it."""

WINDOW_LEAST, WINDOW_MOST, WINDOW_SPAN_MS = 16, 1_024, 120_000


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """An accepted entry that the window still holds."""

    seq: int
    op: bytes
    digest: bytes
    at: int
    n: int
    place: Place
    removes: bytes = b""
    """The act (of this conversation) whose body it removes; empty for none."""


class Member(NamedTuple):
    """One member: `nth` counts everybody who ever joined here, from 0; `seq` is the entry that let them in."""

    role: str
    seq: int
    at: int
    nth: int


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the log decided about one entry: `what` is ok, duplicate, conflict, stale or refused (then `code` says why)."""

    what: str
    seq: int = 0
    n: int = 0
    at: int = 0
    code: str = ""
    changes: Sequence[Change] = ()
    """The documents that change with it."""
    hidden: bool = False
    """It takes its seq, but nobody sees it: it is stored without its body and comes as `skip`."""


class Said(Protocol):
    """What a part decides by: an entry, or the act that would become one."""

    @property
    def actor(self) -> str: ...
    @property
    def facts(self) -> dict[str, Any]: ...


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A part's word, given before anything is changed."""

    refusal: str = ""
    counts: bool = False
    """Whether it is a message: one more `n`."""
    change: "Callable[[Fold, Entry], Sequence[Change]] | None" = None
    """What it does to the fold, whose seq is the entry's by then, and to documents. Must not be able to fail: what could was
    done while deciding."""
    removes: bytes = b""
    """The act whose body goes with this entry."""
    hidden: bool = False


Decide = Callable[["Fold", Said], Decision]


class Parts(dict[str, Decide]):
    """Who decides about each kind of entry, and by which rules: `knows` is the largest number that the program knows."""

    knows: int = RULES


ALLOWED = Decision()
_NOTHING: Mapping[str, Any] = {}


class Fold:
    """What the conversation is after the log up to `place`."""

    __slots__ = ("_found", "_latest", "_removed", "_window", "about", "access", "created", "created_by", "deleted", "floor_at", "floor_seq",
                 "frozen", "horizon", "horizon_place", "joined", "kept", "knows", "last_message", "members", "n", "parts", "place", "rights", "rules",
                 "ruling", "seq", "type", "updated")

    def __init__(self, parts: Parts) -> None:
        self.parts, self.knows = parts, parts.knows
        self.place, self.seq, self.n, self.rules = NOWHERE, 0, 0, FIRST_RULES
        self.ruling = FIRST_RULES  # the rules by which is decided what is being decided: a part that knows several asks for them
        self.horizon, self.horizon_place = 0, NOWHERE  # latest id time (ms), last place, of what the window has forgotten
        self.floor_seq, self.floor_at = 0, 0
        self.type, self.access, self.frozen, self.deleted = "", "", False, False
        self.members: dict[str, Member] = {}
        self.joined, self.rights = 0, 0  # how many ever joined; the seq of the last change to members or roles
        self.about: dict[str, Any] = {}
        self.kept: Mapping[str, Any] = _NOTHING  # what services keep of a personal conversation, by their names; replaced, never changed
        self.created_by, self.created, self.updated, self.last_message = "", 0, 0, 0
        self._window: list[Remembered] = []  # no deques: an empty one takes 0.6 KB, and most conversations have had few entries
        self._found: dict[bytes, Remembered] = {}
        self._removed: dict[bytes, int] = {}  # acts whose bodies were removed within the window, and how often
        self._latest: list[int] = []  # falling times: the first is the latest in the window

    @property
    def window(self) -> Sequence[Remembered]:
        """What is remembered, oldest first; its seqs are dense and end at `seq`."""
        return self._window

    def find(self, op: bytes) -> Remembered | None:
        """What an act was accepted as, if the window still holds it."""
        return self._found.get(op)

    def has_removed(self, op: bytes) -> bool:
        """Whether an entry of the window removed the body of this act.

        Enough to decide about what comes after: whoever checked before the removal was forgotten is stale.
        """
        return op in self._removed

    def apply(self, entry: Entry, place: Place) -> Outcome:
        """Decide one entry and become the state after it. Pure and total; places rise from call to call."""
        self.place = place
        if first := self._found.get(entry.op):
            return Outcome("duplicate", first.seq, first.n, first.at) if first.digest == entry.digest else Outcome("conflict")
        if entry.checked < self.seq - len(self._window):
            return Outcome("stale")
        decision = self.decide(entry.kind, entry.op, entry, entry.rules)
        if decision.refusal:
            return Outcome("refused", code=decision.refusal)
        return self._accept(entry, decision)

    def decide(self, kind: str, op: bytes, said: Said, rules: int = 0) -> Decision:
        """Whether such an entry would be accepted as things stand; changes nothing. Rooms ask it early, `apply` for good."""
        self.ruling = max(rules, self.rules)
        if self.ruling > self.knows:
            return Decision("unknown_rules")
        if act_time(op) < self.floor_at:
            return Decision("id_expired")
        part = self.parts.get(kind)
        try:
            return part(self, said) if part else Decision("unknown_command")
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - total: what would raise is refused, and nothing has been touched yet
            return Decision("bad_request")

    def remember(self, row: Remembered) -> None:
        """Take a row into the window as it is: what `apply` does with a new entry, and waking with those read back."""
        self._window.append(row)
        self._found[row.op] = row
        while self._latest and self._latest[-1] < row.at:
            self._latest.pop()
        self._latest.append(row.at)
        if row.removes:
            self._removed[row.removes] = self._removed.get(row.removes, 0) + 1

    def _accept(self, entry: Entry, decision: Decision) -> Outcome:
        seq = self.seq = self.seq + 1
        self.rules = max(self.rules, entry.rules)
        n = 0
        if decision.counts:
            n = self.n = self.n + 1
            self.last_message = seq
        self.remember(Remembered(seq, entry.op, entry.digest, entry.at, n, self.place, decision.removes))
        self._forget()
        changes = decision.change(self, entry) if decision.change else ()
        return Outcome("ok", seq, n, entry.at, "", changes, decision.hidden)

    def _forget(self) -> None:
        window, latest = self._window, self._latest[0]
        while len(window) > WINDOW_MOST or (len(window) > WINDOW_LEAST and window[0].at < latest - WINDOW_SPAN_MS):
            row = window.pop(0)
            self.horizon, self.horizon_place = max(self.horizon, act_time(row.op)), row.place
            del self._found[row.op]
            if self._latest[0] == row.at:
                self._latest.pop(0)
            if row.removes:
                self._restore(row.removes)

    def _restore(self, op: bytes) -> None:
        left = self._removed.pop(op) - 1
        if left:
            self._removed[op] = left
