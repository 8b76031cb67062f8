"""The pages at `/` and `/docs`, in Chromium."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import HERE, need, serving
from transport.development import PAGE

VECTORS = HERE.parents[1] / "protocol" / "vectors" / "behaviours"


def drive(script: str, server: str, tmp_path: Path) -> dict[str, Any]:
    """What a script of ours says in the end; its pictures are kept where `CAAS_PICTURES` says."""
    browser, node = need("chromium"), need("node")
    picture = tmp_path / f"{script}.png"
    run = subprocess.run([node, HERE / f"{script}.mjs", server, browser, picture], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    if kept := os.environ.get("CAAS_PICTURES"):
        for file in tmp_path.glob("*.png"):
            shutil.copy(file, kept)
    return dict(json.loads(run.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A set-up that nobody has written in."""
    with serving(tmp_path_factory.mktemp("page") / "data", "--limits", "off") as base:
        yield base


def test_the_page_shows_everything_that_two_people_do(fresh: str, tmp_path: Path) -> None:
    said = drive("page", fresh, tmp_path)
    assert said.pop("unread") == 2  # Carol's and Alice's: what Bob said himself there, and what came before it, is read
    assert said == {"same": True, "last": ["Where are you?", "First, from the dark.", "Second, from the dark."], "troubles": [], "elsewhere": []}


def test_the_page_with_more_than_two(fresh: str, tmp_path: Path) -> None:
    said = drive("page-people", fresh, tmp_path)
    assert "blocked" in said.pop("refused")
    assert said.pop("tooLong").startswith("This is 70")
    assert said == {"status": 201, "before": 0, "isAtEnd": True, "troubles": [], "elsewhere": []}


def test_the_page_comes_back_whatever_the_network_does(fresh: str, tmp_path: Path) -> None:
    said = drive("page-network", fresh, tmp_path)
    assert said == {
        "refreshed": [1], "resumes": [0, 2, 2], "sameToken": True, "freshToken": True, "asked": 1, "made": 1,
        "texts": ["Are you back?", "Lost on the way", "After it", "The very last"], "troubles": [], "elsewhere": [],
    }


def test_the_page_can_be_used_by_keyboard_alone(fresh: str, tmp_path: Path) -> None:
    assert drive("page-keys", fresh, tmp_path) == {"isBack": True, "isStillBack": True, "nameless": [], "troubles": [], "elsewhere": []}


def test_the_client_of_the_page_does_what_every_client_must(tmp_path: Path) -> None:
    """The cases of `protocol/vectors/behaviours`, without a browser: Node takes the page's modules as they are."""
    for module in PAGE.glob("*.js"):
        shutil.copy(module, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run = subprocess.run([need("node"), HERE / "behaviours.mjs", tmp_path, VECTORS], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["failed"] == {}
    assert said["passed"] + len(said["elsewise"]) == sum(len(json.loads(file.read_text())) for file in VECTORS.glob("*.json"))


def test_the_docs_are_read_and_tried_and_ask_nobody_else(server: str, tmp_path: Path) -> None:
    said = drive("docs", server, tmp_path)
    assert said.pop("operations") >= 20
    assert said == {"status": "200", "answered": True, "elsewhere": [], "troubles": []}
