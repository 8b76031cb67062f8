"""The releases of an upgrade, each built from its sources into a folder of its own: the one before this, and the one to come.

`previous`: the latest tag before this commit, or the commit that `deploy/PREVIOUS` names. `coming`: this very tree, with one rule more.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.packages import Missing

ROOT = Path(__file__).parents[2]
_WITHIN_S = 120

_NEXT_RULE = {
    "services/deciding.py": ("\nRULES = 1\n", "\nRULES = 2\n"),
    "services/messages/fold.py": (
        '    return _REPLY if said.facts.get("thread") else _MESSAGE\n',
        '    if said.facts.get("thread"):\n        return Decision("forbidden") if fold.ruling >= 2 else _REPLY\n    return _MESSAGE\n'),
}
"""What the coming release changes: by its rules 2 there are no threads. Nodes that decide by different numbers would differ at the next one."""


def previous(folder: Path) -> Mapping[str, str]:
    """Build the release before this one; the environment of its program. Raises Missing where this clone does not have its commit."""
    name = _previous()
    tree = folder / "previous-tree"
    _git("worktree", "add", "--quiet", "--detach", str(tree), name)
    try:
        return _built(tree, folder / "previous")
    finally:
        _git("worktree", "remove", "--force", str(tree))


def coming(folder: Path) -> Mapping[str, str]:
    """Build the release to come; the environment of its program."""
    tree = folder / "coming-tree"
    for name in _git("ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (file := ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, tree / name)
    for name, (old, new) in _NEXT_RULE.items():
        text = (tree / name).read_text()
        assert text.count(old) == 1, f"{name} has changed: say anew how the coming release differs"
        (tree / name).write_text(text.replace(old, new))
    return _built(tree, folder / "coming")


def _previous() -> str:
    tags = _git("tag", "--list", "v*", "--merged", "HEAD~1", "--sort=-version:refname").split()
    named = [line for line in (ROOT / "deploy" / "PREVIOUS").read_text().split("\n") if line and not line.startswith("#")]
    name = (tags or named)[0]
    if subprocess.run(["git", "cat-file", "-e", f"{name}^{{commit}}"], cwd=ROOT, capture_output=True, check=False).returncode:
        raise Missing(f"this clone does not have the previous release, {name}: git fetch --unshallow --tags")
    return name


def _built(tree: Path, folder: Path) -> Mapping[str, str]:
    """Its packages stand before all others, and before the folder that the program is started in."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
                    "--target", str(folder), str(tree)], check=True, timeout=_WITHIN_S)
    env = {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    found = subprocess.run([sys.executable, "-c", "import caas, services; print(caas.__file__, services.__file__)"], env={**os.environ, **env},
                           capture_output=True, text=True, check=True, timeout=_WITHIN_S).stdout.split()
    assert all(Path(path).is_relative_to(folder) for path in found), f"another program would run: {found}"
    return env


def _git(*arguments: str) -> str:
    if not (ROOT / ".git").exists():
        raise Missing("this is no clone: there is no previous release in it")
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=_WITHIN_S,
                          env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}).stdout
