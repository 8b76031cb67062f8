"""Every file of the quick start runs as it is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.journeys.conftest import DEADLINE_S, HERE, need

QUICKSTART = HERE.parents[1] / "docs" / "quickstart"


@pytest.fixture
def backend(server: str) -> Iterator[str]:
    """backend.py, in front of the development set-up."""
    command = [sys.executable, QUICKSTART / "backend.py", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "CAAS_URL": server}) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.terminate()


def test_the_backend_gives_the_page_and_tokens(backend: str) -> None:
    with urlopen(backend, timeout=DEADLINE_S) as page:
        assert page.read() == (QUICKSTART / "chat.html").read_bytes()
    with urlopen(f"{backend}/token?user=dora", timeout=DEADLINE_S) as answer:
        assert b'"token"' in answer.read()


def test_node_chats(backend: str, tmp_path: Path) -> None:
    program = tmp_path / "chat.mjs"
    program.write_text((QUICKSTART / "chat.mjs").read_text())
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    run = [need("node"), str(program)]
    with urlopen(f"{backend}/token?user=erin", timeout=DEADLINE_S):
        pass  # erin exists from now on
    with subprocess.Popen([*run, "bob", "erin", backend], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bob:
        assert bob.stdout is not None
        assert bob.stdout.readline().startswith("connected")
        erin = subprocess.run([*run, "erin", "bob", backend], input="Hello, Bob\n", stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=True)
        assert "✓" in erin.stdout
        assert bob.stdout.readline() == "erin: Hello, Bob\n"
        bob.kill()


def test_curl_says_the_first_message(server: str) -> None:
    need("curl")
    said = subprocess.run(["sh", QUICKSTART / "first_message.sh", server], stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=True).stdout
    assert '"text":"Hello, Bob"' in said.splitlines()[2]


def test_the_page_chats(backend: str) -> None:
    """Two browser windows, and a cut in between."""
    command = [need("node"), HERE / "quickstart.mjs", backend, need("chromium")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S * 4, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
