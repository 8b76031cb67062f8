"""The house as it stands: what is imported is ours, nothing tracked speaks of one machine, and nothing grows too large."""

import ast
import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocol", "supervisor", "storage", "services", "actors", "transport", "caas", "bench", "deploy")
SDK = Path("sdk/python/caas_sdk")
LONGEST_FUNCTION, LONGEST_FILE = 60, 520
"""Lines; of a function without its docstring."""


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def product() -> list[Path]:
    return [path for path in tracked("*.py") if (place := path.relative_to(ROOT)).parts[0] in PACKAGES or place.is_relative_to(SDK)]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_that_is_imported_is_ours(package: str) -> None:
    found = importlib.import_module(package).__file__
    assert found is not None
    assert Path(found).parent == ROOT / package


def test_nothing_tracked_names_a_machine() -> None:
    home = re.compile(r"(?<![\w.])/(?:work|root|home/[a-z]+|Users/\w+)/\w")
    found = [f"{path.relative_to(ROOT)}: {line.strip()[:80]}" for path in tracked() if path.suffix not in (".png", ".hgrm")
             for line in path.read_text(errors="replace").splitlines() if home.search(line)]
    assert found == []


def test_locks_name_no_host() -> None:
    for path in tracked("requirements*.txt"):
        assert not re.search(r"^\s*(--(extra-)?index-url|-i|-f|--find-links)\b|://", path.read_text(), re.MULTILINE), path
    for path in tracked("*package-lock.json"):
        assert '"resolved"' not in path.read_text(), path


@pytest.mark.parametrize("path", product(), ids=lambda path: str(path.relative_to(ROOT)))
def test_it_is_small_and_says_what_it_means(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= LONGEST_FILE
    if text.strip():
        assert ast.get_docstring(tree), "a module says what it is for"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node) or ""
            assert (node.end_lineno or 0) - node.lineno + 1 - len(said.splitlines()) <= LONGEST_FUNCTION, node.name


def test_the_readme_leads_somewhere() -> None:
    for page in tracked("*.md"):
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_every_setting_and_every_code_is_documented() -> None:
    from caas.config import Config
    from protocol.errors import CODES

    operate, errors = (ROOT / "docs" / "operate.md").read_text(), (ROOT / "docs" / "errors.md").read_text()
    assert [name for name in Config.__struct_fields__ if f"`{name}`" not in operate] == []
    assert [code for code in CODES if f"`{code}`" not in errors] == []
