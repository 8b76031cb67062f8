"""The same frames get the same verdict from every decoder: the Python SDK, the page in Node, and the server's own."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import pytest
from behaviour_runner import Runner

from protocol.codec import BadFrame, decode_commands
from tests.journeys.conftest import HERE, need
from tests.protocol.heard import CASES, VECTORS, spelled, steps

PAGE = VECTORS.parents[1] / "transport" / "page"


def name(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_each_case_has_a_name_of_its_own_and_a_verdict() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert {case["client"]["state"] for case in CASES} == {"connected", "reconnecting"}
    assert all("json" in case or "msgpack" in case for case in CASES)


@pytest.mark.parametrize("case", [case for case in CASES if "json" in case and "msgpack" in case], ids=name)
def test_both_spellings_mean_the_same(case: dict[str, Any]) -> None:
    assert json.loads(case["json"]) == msgpack.unpackb(bytes.fromhex(case["msgpack"]))


@pytest.mark.parametrize("case", spelled("msgpack"), ids=name)
def test_the_verdict_of_the_python_sdk(case: dict[str, Any]) -> None:
    Runner({"user": "alice"}).run(steps(case))


@pytest.mark.real
def test_the_verdict_of_the_page(tmp_path: Path) -> None:
    for module in PAGE.glob("*.js"):
        shutil.copy(module, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "heard.json").write_text(json.dumps([{"name": case["name"], "steps": steps(case)} for case in spelled("json")]))
    command = [need("node"), HERE / "behaviours.mjs", tmp_path, tmp_path, "heard"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["failed"] == {}
    assert said["passed"] == len(spelled("json"))


@pytest.mark.parametrize("spelling", ["json", "msgpack"])
@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_verdict_of_the_server(case: dict[str, Any], spelling: str) -> None:
    if spelling in case:
        data = case["json"].encode() if spelling == "json" else bytes.fromhex(case["msgpack"])
        assert verdict(data, text=spelling == "json") == case["server"]


def verdict(data: bytes, *, text: bool) -> Any:
    """As it is written in the corpus."""
    try:
        commands = decode_commands(data, text=text)
    except BadFrame:
        return "broken"
    return [[command.i, command.m, *([command.refusal.code] if command.refusal else [])] for command in commands]
