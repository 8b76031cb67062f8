"""The page at `/`, in Chromium."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.journeys.conftest import HERE, need


def test_alice_and_bob_chat_on_the_page(server: str, tmp_path: Path) -> None:
    browser, node = need("chromium"), need("node")
    picture = tmp_path / "page.png"
    run = subprocess.run([node, HERE / "page.mjs", server, browser, picture], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == {"once": 1, "troubles": []}
    if kept := os.environ.get("CAAS_PICTURES"):
        for file in tmp_path.glob("*.png"):
            shutil.copy(file, kept)
