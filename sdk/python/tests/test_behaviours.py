"""The cases that every SDK of every language runs."""

from typing import Any

import pytest
from behaviour_runner import Runner, cases

CASES = dict(cases())


def test_there_are_cases_of_every_theme() -> None:
    assert len(CASES) > 40


@pytest.mark.parametrize("name", CASES)
def test_behaviour(name: str) -> None:
    case: dict[str, Any] = CASES[name]
    Runner(case).run(case["steps"])
