"""The pages at `/` and `/docs`, in Chromium."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.journeys.conftest import HERE, need


def drive(script: str, server: str, tmp_path: Path) -> dict[str, Any]:
    """What a script of ours says in the end; its pictures are kept where `CAAS_PICTURES` says."""
    browser, node = need("chromium"), need("node")
    picture = tmp_path / f"{script}.png"
    run = subprocess.run([node, HERE / f"{script}.mjs", server, browser, picture], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    if kept := os.environ.get("CAAS_PICTURES"):
        for file in tmp_path.glob("*.png"):
            shutil.copy(file, kept)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def test_alice_and_bob_chat_on_the_page(server: str, tmp_path: Path) -> None:
    assert drive("page", server, tmp_path) == {"once": 1, "troubles": []}


def test_the_docs_are_read_and_tried_and_ask_nobody_else(server: str, tmp_path: Path) -> None:
    said = drive("docs", server, tmp_path)
    assert said.pop("operations") >= 20
    assert said == {"status": "200", "answered": True, "elsewhere": [], "troubles": []}
