"""Blocks at the fold, and what is written down of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from services.amending import Step, amended
from services.blocks.book import block_key, closes
from services.catalogue import KINDS
from services.deciding import Fold
from storage.ports.entry import Entry, Place
from tests.services.log import PARTS, Log, T

FACTS = {"user": "ub", "direct": "~d"}


def entry(kind: str, actor: str, facts: dict[str, Any], number: int) -> Entry:
    op = number.to_bytes(16, "big")
    return Entry(1, kind, "t", f"~{actor}", actor, op, 0, T + number, ("n", 1, number), op, "", facts)


def test_a_block_is_an_entry_of_a_personal_conversation_by_its_user() -> None:
    assert Fold(PARTS).decide("user.blocked", b"\xff" * 16, entry("user.blocked", "ua", FACTS, 1)).refusal == ""
    assert Fold(PARTS).decide("user.blocked", b"\xff" * 16, entry("user.blocked", "", FACTS, 1)).refusal == "forbidden"
    assert Log().add("user.blocked", "ua", FACTS).code == "forbidden"
    assert Fold(PARTS).decide("user.blocked", b"\xff" * 16, entry("user.blocked", "ua", {"user": 1, "direct": "~d"}, 1)).refusal == "forbidden"


@given(acts=some.lists(some.tuples(some.sampled_from(["ua", "ub"]), some.booleans()), max_size=12), steps=some.integers(1, 4))
def test_what_is_written_down_is_what_was_said_last(acts: list[tuple[str, bool]], steps: int) -> None:
    """Stored in whatever portions, and the last portion twice."""
    blocking: set[str] = set()
    known: dict[Any, Any] = {}
    portion: list[Step] = []
    for number, (user, on) in enumerate(acts, 1):
        (blocking.add if on else blocking.discard)(user)
        said = entry("user.blocked" if on else "user.unblocked", user, {"user": "ub" if user == "ua" else "ua", "direct": "~d"}, number)
        portion.append(Step("t", said.conversation, Place(1, number), KINDS[said.kind].amends(said, number, 0)))
        if number % steps == 0 or number == len(acts):
            for _ in range(2):
                changes, _cleared = amended(portion, known)
                known |= {(change.tenant, change.collection, change.key): (change.doc, change.place) for change in changes}
            portion = []
    docs = {user: known.get(("t", "blocks", block_key("~d", user)), (None,))[0] for user in ("ua", "ub")}
    assert {user for user, doc in docs.items() if closes(doc)} == blocking
    assert all(doc is None or set(doc) in ({"seq"}, {"seq", "at", "user", "blocked"}) for doc in docs.values())
