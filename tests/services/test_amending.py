"""Amending: a document is what all steps up to its place make of it, whoever wrote it, and however often."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.amending import Amend, Amended, Step, amended, documents_of
from storage.ports.entry import Place


def counting(key: str, by: int) -> Amend:
    return Amend("sums", key, lambda doc: Amended({"sum": (doc or {"sum": 0})["sum"] + by}, (by,) if by < 0 else ()))


def step(place: int, *amends: Amend) -> Step:
    return Step("t", "c", Place(1, place), amends)


def test_steps_are_taken_in_order_and_each_document_is_written_once() -> None:
    changes, cleared = amended([step(1, counting("a", 1)), step(2, counting("a", 2), counting("b", -5))], {})
    assert [(change.key, change.doc, change.place.offset) for change in changes] == [("a", {"sum": 3}, 2), ("b", {"sum": -5}, 2)]
    assert cleared == [("t", "c", -5)]


def test_what_a_document_has_already_is_not_taken_again() -> None:
    known = {("t", "sums", "a"): ({"sum": 7}, Place(1, 2))}
    changes, _ = amended([step(1, counting("a", 1)), step(2, counting("a", 1)), step(3, counting("a", 1))], known)
    assert [(change.doc, change.place.offset) for change in changes] == [({"sum": 8}, 3)]


def test_a_document_beyond_the_steps_is_left_alone() -> None:
    assert amended([step(4, counting("a", 1))], {("t", "sums", "a"): ({"sum": 7}, Place(1, 9))}) == ([], [])


def test_what_has_to_be_read_is_named_once() -> None:
    assert documents_of([step(1, counting("a", 1), counting("b", 1)), step(2, counting("a", 1))]) == {("t", "sums"): ["a", "b"]}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9)), max_size=12), st.data())
def test_a_crash_between_any_two_documents_changes_nothing(acts: list[tuple[str, int]], data: Any) -> None:
    """Storing in batches, where each write of a document may be the last before a crash, ends as storing all at once does."""
    steps = [step(place, counting(key, by)) for place, (key, by) in enumerate(acts, 1)]
    whole, _ = amended(steps, {})
    known: dict[tuple[str, str, str], tuple[dict[str, Any], Place]] = {}
    for _ in range(3):
        until = data.draw(st.integers(0, len(steps)))
        changes, _ = amended(steps[:until], known)
        for change in changes[: data.draw(st.integers(0, len(changes)))]:
            assert change.doc is not None
            known["t", change.collection, change.key] = (change.doc, change.place)
    last, _ = amended(steps, known)
    for change in last:
        assert change.doc is not None
        known["t", change.collection, change.key] = (change.doc, change.place)
    assert known == {("t", change.collection, change.key): (change.doc, change.place) for change in whole}
