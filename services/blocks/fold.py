"""The blocks' part of the fold: entries of the personal conversation of whoever blocks. Pure and total."""

from collections.abc import Sequence

from services.amending import Amend
from services.blocks.book import changed
from services.deciding import Decision, Fold, Said
from services.kinds import Kind, Kinds
from storage.ports.entry import Entry


def decide_block(fold: Fold, said: Said) -> Decision:
    """Only in a personal conversation, which nobody made, and by its user."""
    whole = isinstance(said.facts["user"], str) and isinstance(said.facts["direct"], str)
    return Decision("" if said.actor and not fold.type and whole else "forbidden")


def amend_blocked(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """The document says so from now on."""
    return (changed(entry.facts["direct"], entry.actor, entry.facts["user"], seq, entry.at),)


def amend_unblocked(entry: Entry, seq: int, n: int) -> Sequence[Amend]:
    """And no longer."""
    return (changed(entry.facts["direct"], entry.actor, "", seq, entry.at),)


KINDS: Kinds = {
    "user.blocked": Kind("block.changed", decide_block, amends=amend_blocked, alone=False),
    "user.unblocked": Kind("block.changed", decide_block, amends=amend_unblocked, alone=False),
}
"""Two kinds, so that the two acts are never taken for a repeat of each other; people see one push."""
