"""The model of the log (docs/model) holds in its short runs, seen to the end; and each of its rules is needed: without it something breaks."""

import os
import re

import pytest

from scripts.check_model import MODEL, RULES, SHORT, TWO, Run, check, missing

WITHIN_S = 300


def needed() -> None:
    """On somebody's laptop spin may be missing; where it is relied on it may not."""
    if name := missing():
        said = f"the model cannot be checked: there is no `{name}` (apt-get install spin gcc)"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)


@pytest.mark.real
@pytest.mark.parametrize("run", SHORT, ids=lambda run: run.about)
def test_the_model_holds(run: Run) -> None:
    needed()
    found = check(run, within_s=WITHIN_S)
    assert found.complete, found.violation
    assert found.states > 1_000, "so few states show nothing"


@pytest.mark.real
@pytest.mark.parametrize("bug", RULES, ids=lambda bug: RULES[bug][0])
def test_a_rule_left_out_is_found(bug: int) -> None:
    needed()
    found = check(RULES[bug][1], bug, within_s=WITHIN_S)
    assert found.violation.startswith("assertion violated")


@pytest.mark.real
def test_our_own_table_of_states_finds_as_many_as_spins_and_says_when_it_is_full() -> None:
    needed()
    run = Run("", TWO, 2, crashes=1)
    of_spin = check(run, within_s=WITHIN_S)
    assert check(run._replace(slots_log=20), within_s=WITHIN_S)[:3] == of_spin[:3]
    assert "full" in check(run._replace(slots_log=8), within_s=WITHIN_S).violation


def test_the_model_names_functions_that_exist() -> None:
    """`actors/storing.py: Storer._gathered` names a file and something that is defined in it."""
    named = re.findall(r"((?:actors|services|storage)/[\w/]+\.py): ([\w.]*\w)", MODEL.read_text())
    assert len(named) > 10
    for file, name in named:
        assert defines(file, name), f"{file} has no {name}"


def test_its_page_names_functions_that_exist() -> None:
    """In its table each name belongs to the file before it."""
    table = [row.split("|")[2] for row in (MODEL.parent / "README.md").read_text().splitlines() if row.startswith("| ")]
    rows = [re.findall(r"`([\w./]+)`", code) for code in table if ".py`" in code]
    assert len(rows) > 6
    for row in rows:
        file = ""
        for name in row:
            if name.endswith(".py"):
                file = name
            else:
                assert defines(file, name), f"{file} has no {name}"


def defines(file: str, name: str) -> bool:
    """Whether a file of the product defines it."""
    source = (MODEL.parents[2] / file).read_text()
    last = name.split(".")[-1]
    return re.search(rf"(def|class) {last}\b|^([A-Z_, ]+, )?{last}\b", source, re.MULTILINE) is not None
