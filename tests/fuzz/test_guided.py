"""The fuzz programs: everything that is kept passes, each target runs for a while, and one that is broken is found."""

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz.corpus import golden, kept
from tests.fuzz.guided import NAMES, guided
from tests.fuzz.targets import TARGETS

SECONDS = 2
needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="NOT TESTED: atheris is not to be had for this Python")


def test_every_target_has_a_name_on_the_command_line() -> None:
    assert tuple(TARGETS) == NAMES


def test_something_is_kept_for_every_target() -> None:
    assert all(kept(target) for target in NAMES)


@pytest.mark.parametrize("target", NAMES)
def test_whatever_is_kept_breaks_nothing(target: str) -> None:
    for data in [*kept(target), *golden(target)]:
        TARGETS[target](data)


@needs_atheris
@pytest.mark.real
def test_a_decoder_that_fails_is_found(tmp_path: Path) -> None:
    """Planted (`targets.planted`): one that falls over at a certain word, which blind chance would not find."""
    assert "it fell over" in guided("planted", 60, 1, tmp_path / "fuzz").broken


@needs_atheris
@pytest.mark.real
@pytest.mark.parametrize("target", NAMES)
def test_guided_by_what_is_reached_nothing_breaks_it(target: str, tmp_path: Path) -> None:
    result = guided(target, SECONDS, 1, tmp_path / "fuzz")
    print(f"{target}: {result.tried} inputs")
    assert not result.broken, result.broken
