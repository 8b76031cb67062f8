"""Pushes kept ready: dense, bounded, and gone as soon as one of them may be untrue."""

from protocol.codec import pack
from services.ready import MOST_BYTES, MOST_ENTRIES, Ready

PLACE, OTHER = ("t", "c"), ("t", "d")


def push(seq: int, t: str = "message.new", **more: object) -> bytes:
    return pack({"t": t, "c": "c", "s": seq, **more})


def kept(first: int, last: int) -> Ready:
    ready = Ready()
    for seq in range(first, last + 1):
        ready.put(PLACE, seq, push(seq))
    return ready


def test_what_follows_a_seq() -> None:
    ready = kept(5, 9)
    assert ready.after(PLACE, 6, 9, 10) == [push(7), push(8), push(9)]
    assert ready.after(PLACE, 4, 9, 2) == [push(5), push(6)]
    assert ready.after(PLACE, 9, 9, 10) == []


def test_only_what_follows_without_a_hole() -> None:
    ready = kept(5, 9)
    assert ready.after(PLACE, 3, 9, 10) == [], "the fourth is not here"
    assert ready.after(PLACE, 8, 10, 10) == [push(9)], "somebody knows of a later one"
    assert ready.after(PLACE, 9, 10, 10) == ready.after(OTHER, 6, 9, 10) == []


def test_no_more_than_up_to_a_seq() -> None:
    assert kept(5, 9).after(PLACE, 5, 7, 10) == [push(6), push(7)]


def test_a_hole_begins_anew() -> None:
    ready = kept(1, 3)
    ready.put(PLACE, 5, push(5))
    assert ready.after(PLACE, 2, 5, 10) == []
    assert ready.after(PLACE, 4, 5, 10) == [push(5)]


def test_a_deletion_takes_what_came_before_with_it() -> None:
    ready = kept(1, 3)
    deletion = push(4, "message.deleted", at=1, p={})
    ready.put(PLACE, 4, deletion)
    assert ready.after(PLACE, 2, 4, 10) == []
    assert ready.after(PLACE, 3, 4, 10) == [deletion]


def test_it_is_bounded_for_each_and_for_all() -> None:
    ready = kept(1, MOST_ENTRIES + 10)
    assert ready.after(PLACE, 9, MOST_ENTRIES + 10, 1) == []
    assert ready.after(PLACE, 10, MOST_ENTRIES + 10, 1) == [push(11)]
    large = Ready()
    for seq in range(1, 6):
        large.put(PLACE, seq, bytes(MOST_BYTES // 2))
    assert large.bytes == MOST_BYTES
    small = Ready(most=100)
    small.put(PLACE, 1, bytes(60))
    small.put(OTHER, 1, bytes(60))
    assert (small.after(PLACE, 0, 1, 1), small.bytes) == ([], 60), "the one that began first is forgotten"


def test_what_was_read_adjoins_on_either_side() -> None:
    ready = Ready()
    ready.fill(PLACE, 3, [push(3), push(4)], ready.dropped)
    ready.fill(PLACE, 1, [push(1), push(2)], ready.dropped)
    ready.fill(PLACE, 5, [push(5)], ready.dropped)
    ready.fill(PLACE, 8, [push(8)], ready.dropped)
    assert ready.after(PLACE, 0, 5, 10) == [push(seq) for seq in range(1, 6)]
    assert ready.bytes == sum(len(push(seq)) for seq in range(1, 6))


def test_what_was_read_before_something_was_dropped_is_not_kept() -> None:
    ready = kept(3, 4)
    before = ready.dropped
    ready.put(PLACE, 5, push(5, "message.deleted"))
    ready.fill(PLACE, 3, [push(3), push(4)], before)
    assert ready.after(PLACE, 2, 5, 10) == []


def test_forgotten_and_cleared() -> None:
    ready = kept(1, 3)
    ready.forget(PLACE)
    assert (ready.after(PLACE, 0, 3, 3), ready.bytes) == ([], 0)
    ready.put(PLACE, 4, push(4))
    ready.clear()
    assert (ready.after(PLACE, 3, 4, 3), ready.bytes) == ([], 0)


def test_all_or_nothing_for_whoever_knows_the_head() -> None:
    ready = kept(5, 9)
    assert ready.whole(PLACE, 6, 9, 10) == [push(7), push(8), push(9)]
    assert ready.whole(PLACE, 4, 9, 2) == [push(5), push(6)]
    assert ready.whole(PLACE, 9, 9, 2) == []
    assert ready.whole(PLACE, 3, 9, 10) is None, "the fourth is not here"
    assert ready.whole(PLACE, 6, 10, 2) is None, "what comes next might be a deletion"
