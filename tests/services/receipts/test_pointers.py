"""Pointers, what is held of them until the log has them, and what entries make of their documents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.receipts.fold import KINDS, amend_mentions, amend_pointers, moves_of
from services.receipts.holding import AT_LEAST_EVERY_S, MOST_AT_ONCE, MOST_KNOWN, PAUSE_S, Holding
from services.receipts.pointers import MOST_MENTIONS, NOWHERE, Pointer, pointer_of, unread, unread_mentions
from storage.ports.entry import Entry

POINTERS = some.builds(lambda read, delivered: NOWHERE.forward(Pointer(read, read, delivered)), some.integers(0, 9), some.integers(0, 9))


def entry(kind: str, facts: dict[str, Any]) -> Entry:
    return Entry(1, kind, "t", "~me", "", b"o", 0, 0, ("w", 1, 1), b"", "", facts)


@given(POINTERS, POINTERS, POINTERS)
def test_pointers_only_rise_in_whatever_order_they_are_learned(one: Pointer, two: Pointer, three: Pointer) -> None:
    assert one.forward(two) == two.forward(one)
    assert one.forward(two).forward(three) == one.forward(two.forward(three))
    assert one.forward(one) == one
    assert one.forward(two).read >= one.read
    assert one.forward(two).delivered >= one.forward(two).read


@pytest.mark.parametrize(("last_n", "read_n", "own_n", "expected"), [(5, 0, 0, 5), (5, 3, 0, 2), (5, 3, 4, 1), (5, 5, 0, 0), (5, 7, 0, 0)])
def test_unread_is_one_subtraction(last_n: int, read_n: int, own_n: int, expected: int) -> None:
    assert unread(last_n, read_n, own_n) == expected


def test_a_message_that_mentions_twice_counts_once() -> None:
    assert unread_mentions([3, 5, 9], [5, 7], 4) == 3


# Holding.


def moved(holding: Holding, conversation: str, seq: int, now: float) -> bool:
    if not holding.knows(conversation):
        holding.learn(conversation, NOWHERE)
    return holding.move(conversation, Pointer(seq, seq, seq), now)


def test_it_is_due_two_seconds_after_the_last_move_and_ten_after_the_first() -> None:
    holding = Holding()
    assert holding.due() is None
    for second in range(12):
        assert moved(holding, "c", second + 1, 100.0 + second)
        assert holding.due() == min(100.0 + AT_LEAST_EVERY_S, 100.0 + second + PAUSE_S)
    assert holding.take()[1] == {"read": {"c": [12, 12]}, "delivered": {}}
    assert holding.due() is None


def test_backwards_is_no_move() -> None:
    holding = Holding()
    moved(holding, "c", 5, 0.0)
    assert not moved(holding, "c", 5, 1.0)
    assert not moved(holding, "c", 3, 1.0)
    assert holding.due() == PAUSE_S


def test_what_moved_while_an_entry_was_under_way_is_in_the_next() -> None:
    holding = Holding()
    moved(holding, "c", 1, 0.0)
    number, _ = holding.take()
    moved(holding, "c", 2, 1.0)
    holding.landed(number, kept=True, now=1.5)
    assert holding.take()[1]["read"] == {"c": [2, 2]}


def test_what_the_log_could_not_take_is_in_a_later_entry_and_not_at_once() -> None:
    holding = Holding()
    moved(holding, "c", 1, 0.0)
    moved(holding, "d", 1, 0.0)
    number, _ = holding.take()
    moved(holding, "c", 2, 1.0)
    holding.landed(number, kept=False, now=1.5)
    holding.leave()
    assert holding.due() == 1.5 + PAUSE_S
    assert holding.take()[1]["read"] == {"c": [2, 2], "d": [1, 1]}


def test_leaving_makes_it_due_at_once_and_only_once() -> None:
    holding = Holding()
    moved(holding, "c", 1, 7.0)
    holding.leave()
    assert holding.due() == 7.0
    holding.take()
    moved(holding, "c", 2, 8.0)
    assert holding.due() == 8.0 + PAUSE_S


def test_only_what_moved_is_said() -> None:
    holding = Holding()
    holding.learn("c", Pointer(4, 3, 6))
    holding.learn("d", Pointer(4, 3, 4))
    assert holding.move("c", Pointer(5, 4, 5), 0.0)
    assert holding.move("d", Pointer(delivered=9), 0.0)
    assert holding.take()[1] == {"read": {"c": [5, 4]}, "delivered": {"d": 9}}


def test_it_is_bounded() -> None:
    holding = Holding()
    for number in range(MOST_KNOWN * 2):
        holding.learn(f"c{number}", Pointer(1, 1, 1))
    assert len(holding.known(f"c{number}" for number in range(MOST_KNOWN * 2))) <= MOST_KNOWN
    for number in range(MOST_AT_ONCE + 1):
        moved(holding, f"d{number}", 1, 50.0)
    assert holding.due() == 50.0
    assert [len(holding.take()[1]["read"]), len(holding.take()[1]["read"])] == [MOST_AT_ONCE, 1]


# Entries and documents.


MOVES = some.dictionaries(some.sampled_from("ab"), POINTERS, max_size=2)


def facts(moves: dict[str, Pointer]) -> dict[str, Any]:
    return {"read": {name: [to.read, to.n] for name, to in moves.items() if to.read}, "delivered": {name: to.delivered for name, to in moves.items()}}


def after(entries: list[Entry]) -> dict[str, Any]:
    docs: dict[str, Any] = {}
    for one in entries:
        for amend in (amend_mentions if one.kind == "mention.new" else amend_pointers)(one, 1, 0):
            docs[amend.key] = amend.make(docs.get(amend.key)).doc
    return docs


@given(some.lists(MOVES, max_size=5), some.lists(some.integers(1, 9), max_size=5), some.randoms())
def test_documents_are_the_same_in_whatever_order_their_entries_come(moves: list[dict[str, Pointer]], seqs: list[int], chance: Any) -> None:
    entries = [entry("read.moved", facts(move)) for move in moves] + [entry("mention.new", {"conversation": "a", "seq": seq}) for seq in seqs]
    shuffled = list(entries)
    chance.shuffle(shuffled)
    assert after(shuffled) == after(entries)
    assert after(entries + entries) == after(entries)


def test_an_entry_says_what_it_moves_and_its_push_only_what_was_read() -> None:
    one = entry("read.moved", {"read": {"a": [5, 3]}, "delivered": {"a": 7, "b": 2}})
    assert moves_of(one.facts) == {"a": Pointer(5, 3, 7), "b": Pointer(0, 0, 2)}
    assert KINDS["read.moved"].render(one, 1, 0, {}) == {"conversations": {"a": 5}}
    assert KINDS["delivered.moved"].push == "skip"


def test_mentions_that_are_read_are_forgotten_and_the_rest_is_bounded() -> None:
    many = [entry("mention.new", {"conversation": "a", "seq": seq}) for seq in range(1, MOST_MENTIONS + 50)]
    docs = after([*many, entry("read.moved", {"read": {"a": [60, 60]}, "delivered": {}})])
    assert docs["~me/a"]["mentions"] == list(range(61, MOST_MENTIONS + 50))
    assert pointer_of(docs["~me/a"]) == Pointer(60, 60, 60)
    assert len(after(many)["~me/a"]["mentions"]) == MOST_MENTIONS
