"""Kinds of entries: what each service brings for the entries it makes, gathered in one table by `caas/wiring.py`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from services.acts import Act
from services.amending import Amend
from services.deciding import RULES, Decide, Fold, Parts
from storage.ports.entry import Entry

Body = dict[str, Any]


class Touched(NamedTuple):
    """Whom an entry concerns besides telling them: internal ids, or EVERYBODY."""

    ended: Sequence[str] = ()
    """Whose reading ends with it: nothing of the conversation comes to them after it."""
    rights: Sequence[str] = ()
    """Who may be allowed other things after it."""

    def ends(self, user: str) -> bool:
        """Whether this user's reading ends."""
        return user in self.ended or self.ended == EVERYBODY


EVERYBODY: Sequence[str] = ["*"]
"""Whoever watches. No internal id looks like this."""
NOBODY = Touched()


def _as_said(fold: Fold, act: Act) -> Act | None:
    return act


def _none(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    return ()


def _nobody(entry: Entry) -> Touched:
    return NOBODY


def _body_alone(entry: Entry, seq: int, n: int, body: Body) -> Body:
    return body


class Kind(msgspec.Struct, frozen=True):
    """One kind of entry. Its functions are pure."""

    push: str
    """The name people know it by: the push's `t`."""
    decide: Decide
    """Its part of the fold."""
    render: Callable[[Entry, int, int, Body], Body] = _body_alone
    """The push's `p`, from the entry, its seq and n, and its body (opened)."""
    trim: Callable[[Fold, Act], Act | None] = _as_said
    """What is left of an allowed act to append; None when it would change nothing."""
    amends: Callable[[Entry, int, int], Sequence[Amend]] = _none
    """What storing it does to documents besides the fold's own, from the entry, its seq and n."""
    stub: Callable[[Entry, int, int, str, int], Body] | None = None
    """What is shown when the body is gone, from the entry, its seq and n, its author's id for the company and when it was removed
    (ms). None: nothing is."""
    touches: Callable[[Entry], Touched] = _nobody
    """Whose reading ends with it, and whose rights change, as far as the entry alone can tell: more may be named than are concerned."""
    barred: bool = False
    """Whether it is refused between two of whom one blocks the other."""
    alone: bool = True
    """Whether what comes after it in a room must wait for its verdict, because it may change rights."""

    @property
    def amending(self) -> bool:
        """Whether storing it changes documents besides the fold's own."""
        return self.amends is not _none


Kinds = Mapping[str, Kind]


def parts_of(kinds: Kinds, knows: int = RULES) -> Parts:
    """The fold's table."""
    parts = Parts({name: kind.decide for name, kind in kinds.items()})
    parts.knows = knows
    return parts
