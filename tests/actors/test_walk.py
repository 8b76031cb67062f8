"""The walk finds nothing in the product, and each planted bug."""

import pytest

from tests.actors import walk

WALKS = 2_000
ENOUGH = 4_000
"""Walks in which each planted bug must show itself."""


def test_nothing_is_found_in_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    walk.with_small_window(monkeypatch)
    found = [(seed, what) for seed in range(WALKS) if (what := walk.violation(seed))]
    assert found == []


@pytest.mark.parametrize("bug", range(1, 11))
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: int) -> None:
    walk.with_small_window(monkeypatch)
    assert any(walk.violation(seed, bug) for seed in range(ENOUGH))
