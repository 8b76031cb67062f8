"""The model of the log (docs/model) holds in its short runs, seen to the end; and each of its rules is needed: without it something breaks."""

import os
import re

import pytest

from scripts.check_model import MODEL, RULES, SHORT, Run, check, missing

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


def test_the_model_names_functions_that_exist() -> None:
    """`actors/storing.py: Storer._gathered` names a file and something that is defined in it."""
    text = MODEL.read_text()
    named = re.findall(r"((?:actors|services|storage)/[\w/]+\.py): ([\w.]*\w)", text)
    assert len(named) > 10
    for file, names in named:
        source = (MODEL.parents[2] / file).read_text()
        name = names.split(".")[-1]
        assert re.search(rf"(def|class) {name}\b|^([A-Z_, ]+, )?{name}\b", source, re.MULTILINE), f"{file} has no {name}"
