"""The verdict on an overload: what is as promised passes, and each promise that is not kept is named."""

import pytest

from bench.generate import Flow, Ran, histogram
from bench.lab import Measured
from bench.workloads.overload import Overloaded, wrong

REFUSAL = "..i.....e..code.unavailable"


def measured(*, seconds: float = 10, drained_s: float = 0.2, answer_ms: int = 20, refuse_ms: int = 100, answered: int = 50_000,
             refused: int = 100_000, sent: int = 150_000, refusal: str = REFUSAL, doubles: int = 0, disorder: int = 0) -> Measured:
    flow = Flow(gaps=9, doubles=doubles, disorder=disorder, sent=sent, expected=0, delivered=0, answered=answered, refused=refused, refusal=refusal,
                behind_us=0, latency=histogram(), last=histogram(), answer=histogram([(answer_ms * 1000, 100)]),
                refuse=histogram([(refuse_ms * 1000, 100)]))
    return Measured(Ran(seconds, drained_s, 1.0, {}, {0: flow}), 10.0)


GOOD = Overloaded(peaks=(5_000, 5_000), before=measured(), over=measured(), after=measured(), grew_mib=50)


def test_what_is_as_promised_passes() -> None:
    assert wrong(GOOD) == {}
    assert wrong(GOOD._replace(over=measured(refused=0, sent=50_000, refusal=""))) == {}


def test_a_machine_that_became_slower_meanwhile_is_held_against_the_mean_of_both_peaks() -> None:
    slower = measured(answered=41_000, refused=109_000)
    assert [*wrong(GOOD._replace(over=slower, peaks=(5_800, 4_200)))] == []
    assert [*wrong(GOOD._replace(over=slower, peaks=(5_800, 5_800)))] == ["goodput below 80% of the peak, %"]


@pytest.mark.parametrize(("found", "named"), [
    (GOOD._replace(over=measured(answered=39_000, refused=111_000)), "goodput"),
    (GOOD._replace(over=measured(refuse_ms=300)), "refused later"),
    (GOOD._replace(over=measured(refusal="..i.....e..")), "refused without a code"),
    (GOOD._replace(over=measured(sent=150_001)), "neither"),
    (GOOD._replace(grew_mib=500), "memory"),
    (GOOD._replace(over=measured(drained_s=6, answered=80_000, refused=70_000)), "back to normal"),
    (GOOD._replace(after=measured(answer_ms=400)), "p99 afterwards"),
    (GOOD._replace(over=measured(doubles=1)), "doubles"),
    (GOOD._replace(over=measured(disorder=1)), "disorder"),
])
def test_a_promise_that_is_not_kept_is_named(found: Overloaded, named: str) -> None:
    [(name, by)] = wrong(found).items()
    assert name.startswith(named)
    assert by >= 1
