"""What a user does not want to see of a conversation: seqs of messages deleted for oneself, a thousand seqs a document."""

from collections.abc import Iterable

from services.amending import Amend, Amended, Document

COLLECTION = "hidden"
_SEQS = 1_000


def hidden_key(personal: str, conversation: str, seq: int) -> str:
    """The document that a seq belongs to."""
    return f"{personal}/{conversation}/{seq // _SEQS}"


def hidden_keys(personal: str, conversation: str, seqs: Iterable[int]) -> list[str]:
    """The documents that these seqs belong to."""
    return sorted({hidden_key(personal, conversation, seq) for seq in seqs})


def hid(personal: str, conversation: str, seq: int) -> Amend:
    """One message more."""

    def make(doc: Document | None) -> Amended:
        return Amended({"seqs": sorted({*(doc or {"seqs": ()})["seqs"], seq})})

    return Amend(COLLECTION, hidden_key(personal, conversation, seq), make)
