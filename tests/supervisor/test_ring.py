"""The ring: the same answer everywhere, and little moves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.ring import Ring, moved

PARTITIONS = range(256)
names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8, unique=True)


@given(names, st.text(min_size=1, max_size=8))
def test_a_newcomer_takes_and_nobody_else_moves(members: list[str], newcomer: str) -> None:
    old = Ring(tuple(members))
    new = old.change([*members, newcomer])
    for before, after in moved(old, new, PARTITIONS).values():
        assert after == newcomer
        assert before != newcomer


@given(names.filter(lambda members: len(members) > 1), st.data())
def test_only_what_the_leaver_owned_moves(members: list[str], data: st.DataObject) -> None:
    leaver = data.draw(st.sampled_from(members))
    old = Ring(tuple(members))
    new = old.change([member for member in members if member != leaver])
    changed = moved(old, new, PARTITIONS)
    assert set(changed) == {partition for partition in PARTITIONS if old.owner(partition) == leaver}


@given(names, st.one_of(st.integers(), st.text()))
def test_the_order_of_members_does_not_matter(members: list[str], key: int | str) -> None:
    assert Ring(tuple(members)).owner(key) == Ring(tuple(reversed(members))).owner(key)


def test_the_answer_is_the_same_in_every_process_and_release() -> None:
    ring = Ring(("w1", "w2", "w3"))
    assert [ring.owner(partition) for partition in range(8)] == ["w3", "w1", "w1", "w2", "w3", "w2", "w1", "w1"]
    assert Ring(("w1", "w2", "w3")) == Ring(("w3", "w1", "w2"))


def test_work_is_spread() -> None:
    ring = Ring(("a", "b", "c", "d"))
    counts = Counter(ring.owner(partition) for partition in range(1_024))
    assert all(180 <= count <= 340 for count in counts.values())
    assert len(counts) == 4


def test_a_pin_holds_while_its_owner_is_there() -> None:
    ring = Ring(("a", "b"), pins={7: "a", "hot": "b", 8: "gone"})
    assert (ring.owner(7), ring.owner("hot")) == ("a", "b")
    assert ring.owner(8) in ("a", "b")
    assert ring.change(["b"]).owner(7) == "b"


def test_a_generation_remembers_the_one_before() -> None:
    first = Ring(("a", "b"))
    second = first.change(["a", "b", "c"])
    third = second.change(["c"])
    assert [ring.generation for ring in (first, second, third)] == [0, 1, 2]
    assert first.previous_owner(1) is None
    assert second.previous_owner(1) == first.owner(1)
    assert third.previous_owner(1) == second.owner(1)
    assert third.previous is not None
    assert third.previous.previous is None


def test_an_empty_ring_owns_nothing() -> None:
    with pytest.raises(LookupError):
        Ring(()).owner(1)
