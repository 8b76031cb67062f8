"""The users' part of the fold: entries of the application's own conversation, which say that a user was created or changed.

The document is the truth of a user; the entry tells whatever follows the log to look at it.
"""

from services.deciding import Decision, Fold, Said
from services.kinds import Kind


def decide_user(fold: Fold, said: Said) -> Decision:
    """Only in the application's own conversation, which nobody made and nobody belongs to."""
    return Decision("forbidden" if fold.type or not isinstance(said.facts["user"], str) else "")


KINDS = {kind: Kind(kind, decide_user, alone=False) for kind in ("user.created", "user.updated")}
