"""What is written down of blocks: for each pair and each of the two a document, found by the direct conversation that it closes.

    {"seq", "at", "user": who blocks, "blocked": whom}      they block; `seq` is the entry's, of `user`'s personal conversation
    {"seq"}                                                 they did, and do no longer
"""

from services.amending import Amend, Amended, Document

COLLECTION = "blocks"


def block_key(direct: str, user: str) -> str:
    """The document that says whether `user` (internal id) blocks the other one of a direct conversation."""
    return f"{direct}/{user}"


def changed(direct: str, user: str, blocked: str, seq: int, at: int) -> Amend:
    """`user` blocks `blocked` (internal ids; empty: nobody any more)."""

    def make(doc: Document | None) -> Amended:
        return Amended({"seq": seq, "at": at, "user": user, "blocked": blocked} if blocked else {"seq": seq})

    return Amend(COLLECTION, block_key(direct, user), make)


def closes(doc: Document | None) -> bool:
    """Whether this document closes the conversation."""
    return bool(doc and "blocked" in doc)
