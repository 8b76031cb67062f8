"""The simulated world: two hundred seeds go well whatever goes wrong, a seed is always the same run, and what fails says how to see it again."""

import os

import pytest
from trio._core import _run as scheduler

from sim import command
from sim.command import results, sim
from sim.faults import FAULTS
from sim.play import Result, run
from tests.sim.planted import PLANTED, Plant, small_window

SEEDS = int(os.environ.get("CAAS_SEEDS", "200"))
ENOUGH = 40
"""Seeds within which a planted bug must show itself."""


def test_nothing_is_lost_doubled_or_reordered_whatever_goes_wrong() -> None:
    failed, happened, acknowledged = list[str](), dict.fromkeys(FAULTS, 0), 0
    for result in results(range(1, SEEDS + 1), list(FAULTS), os.cpu_count() or 1):
        failed += [f"caas sim --seed {result.seed}: {sentence}" for sentence in result.found[:3]]
        happened |= {fault: happened[fault] + times for fault, times in result.happened.items()}
        acknowledged += result.acknowledged
    assert not failed, "\n".join(failed)
    assert acknowledged > SEEDS * 30, "hardly anything was said: this showed nothing"
    assert all(happened[fault] for fault in ("crash", "cut", "half_open", "slow_disk", "full_disk", "clock", "lag")), happened


def test_nor_where_rooms_forget_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    small_window(monkeypatch)
    found = [f"seed {seed}: {sentence}" for seed in range(1, 16) for sentence in run(seed).found]
    assert not found, "\n".join(found)


def test_a_seed_is_always_the_same_run() -> None:
    assert run(7) == run(7)
    assert run(7).trace != run(8).trace


def test_the_scheduler_can_still_be_seeded() -> None:
    assert isinstance(scheduler._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    assert hasattr(scheduler, "_r")


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    plant(monkeypatch)
    assert any(run(seed).found for seed in range(1, ENOUGH + 1))


def test_what_fails_says_how_to_run_it_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "run", lambda seed, faults: Result(seed, faults, ["S1: something is lost"] if seed == 5 else []))
    monkeypatch.setattr(command, "_quiet", lambda: None)
    assert sim(seed=4, count=3, faults="crash,lag") == 1
    said = capsys.readouterr().out
    assert "seed 5 fails. Again: caas sim --seed 5 --faults crash,lag" in said
    assert "3 seeds, 1 failed ([5])" in said


def test_a_fault_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim(faults="plague") == 2
    assert "plague" in capsys.readouterr().err


