"""The verdicts by pairs: what slows both of a pair is nobody's fault, what slows one of most pairs is, and one pair says nothing."""

import pytest
from hdrh.histogram import HdrHistogram

from bench.generate import histogram, merged
from bench.lab import Paired, broken, p99_ms
from bench.workloads.reconnect_storm import late


def taking(ms: float) -> HdrHistogram:
    return histogram([(round(ms * 1000), 1_000)])


def paired(*pairs: tuple[float, float]) -> Paired:
    return Paired([taking(alone) for alone, _ in pairs], [taking(beside) for _, beside in pairs])


def test_a_pair_is_compared_within_itself() -> None:
    slow_machine = paired((10, 10), (100, 105), (10, 10.2))
    assert slow_machine.times == pytest.approx(1.02, abs=0.01)
    assert not slow_machine.slower_than(1.1, 5)


def test_one_pair_that_met_a_bad_moment_decides_nothing() -> None:
    assert not paired((10, 10), (10, 90), (10, 10)).slower_than(1.1, 5)


def test_what_is_slower_in_most_pairs_is_slower_by_both_measures() -> None:
    assert paired((100, 120), (100, 130), (100, 100)).slower_than(1.1, 5)
    assert not paired((10, 12), (10, 13), (10, 10)).slower_than(1.1, 5), "by a fifth, and nobody minds 2 ms"
    assert not paired((200, 210), (200, 212), (200, 200)).slower_than(1.1, 5), "by 10 ms, and that is a twentieth"


def test_one_pair_says_nothing() -> None:
    assert not paired((10, 900)).slower_than(1.1, 5)


def test_all_are_merged_into_one() -> None:
    whole = merged([taking(10), taking(20)])
    assert whole.get_total_count() == 2_000
    assert p99_ms(whole) == pytest.approx(20, rel=0.01)
    assert p99_ms(merged([])) == 0


def test_what_is_broken_is_named_with_by_how_much() -> None:
    assert broken({"a": (False, 7), "b": (True, 7.4), "c": (True, 0.1)}) == {"b": 7, "c": 1}


def test_who_comes_back_late_is_told_of() -> None:
    assert late(taking(4_900)) == {}
    assert list(late(taking(5_200))) == ["ms until 99% were back"]
