"""Autobahn's own cases, run by kosoku against `transport.echo` in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUPS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
CASES = 301
BIGGEST = 16_777_216 + 1_000
"""Group 9 sends messages of 16 MiB, and 4 MiB in fragments of 64 bytes."""


@pytest.fixture
def echo():
    process = subprocess.Popen(
        [sys.executable, "-m", "transport.echo", "0", str(BIGGEST), "70000"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        yield process.stdout.readline().removeprefix("ready ws://").strip()
        process.terminate()


def test_autobahn_finds_no_failure(echo, tmp_path):
    included = [word for group in GROUPS for word in ("--include", group)]
    kosoku = Path(sys.executable).with_name("kosoku")
    run = subprocess.run([kosoku, "-m", "fuzzingclient", *included, "-o", tmp_path, echo], capture_output=True, text=True, timeout=60, check=False)
    reports = [json.loads(path.read_text()) for path in tmp_path.glob("*_case_*.json")]
    bad = {report["id"]: report["behavior"] for report in reports if not {report["behavior"], report["behaviorClose"]} <= {"OK", "INFORMATIONAL"}}
    assert bad == {}, run.stdout
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(reports) == CASES
