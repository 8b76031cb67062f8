"""The accelerator stands in for the sources only where it was made of them, and says why where it does not."""

import json
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from caas.acceleration import MANIFEST, PACKAGE, Finder, digest, look

ROOT = Path(__file__).resolve().parents[2]
SUFFIX = EXTENSION_SUFFIXES[0]


def installed(folder: Path, **other: object) -> Path:
    """An accelerator as a wheel leaves it, of one module that holds nothing."""
    (folder / PACKAGE / "compiled" / "protocol").mkdir(parents=True)
    (folder / PACKAGE / "__init__.py").touch()
    (folder / PACKAGE / "compiled" / f"protocol/codec{SUFFIX}").touch()
    (folder / PACKAGE / "compiled" / f"abc__mypyc{SUFFIX}").touch()
    (folder / PACKAGE / MANIFEST).write_text(json.dumps({"digest": digest(ROOT), "modules": ["protocol.codec"], **other}))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_one_that_was_made_of_these_sources_is_taken(here):
    installed(here)
    found, finder = look("auto")
    assert (found.on, found.said) == (True, "1 compiled modules")
    assert finder.missing == []


def test_one_of_other_sources_is_not(here):
    installed(here, digest="0" * 64)
    found, finder = look("auto")
    assert (found.on, found.wrong, finder) == (False, True, None)
    assert "other sources" in found.said


def test_one_of_another_python_is_not(here):
    (installed(here) / PACKAGE / "compiled" / f"protocol/codec{SUFFIX}").rename(here / "codec.cpython-399.so")
    found, finder = look("auto")
    assert (found.on, found.wrong, finder) == (False, True, None)
    assert "another Python" in found.said


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"modules": []}'])
def test_one_that_is_damaged_is_not(here, text):
    (installed(here) / PACKAGE / MANIFEST).write_text(text)
    found, finder = look("auto")
    assert (found.on, found.wrong, finder) == (False, True, None)
    assert "damaged" in found.said


def test_switched_off_nobody_looks(here):
    installed(here)
    found, finder = look("off")
    assert (found.on, found.wrong, finder) == (False, False, None)


def test_the_finder_answers_for_its_modules_and_what_they_share(tmp_path):
    folder = installed(tmp_path) / PACKAGE / "compiled"
    finder = Finder(folder, ["protocol.codec"])
    spec = finder.find_spec("protocol.codec", None)
    assert spec is not None
    assert spec.origin == str(folder / f"protocol/codec{SUFFIX}")
    assert finder.find_spec("abc__mypyc", None) is not None
    assert finder.find_spec("protocol.limits", None) is None


def test_a_change_of_any_source_changes_the_digest(tmp_path):
    (tmp_path / "actors").mkdir()
    (tmp_path / "actors" / "room.py").write_text("a = 1")
    before = digest(tmp_path)
    (tmp_path / "actors" / "room.py").write_text("a = 2")
    assert digest(tmp_path) != before
    (tmp_path / "actors" / "room.py").rename(tmp_path / "actors" / "hall.py")
    assert len({before, digest(tmp_path)}) == 2


def run(code: str, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(path), str(ROOT))), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=path, timeout=60)


def test_it_comes_too_late_for_what_is_imported(tmp_path):
    done = run("import protocol.codec; from caas.acceleration import accelerate; print(accelerate('auto').said)", installed(tmp_path))
    assert done.stdout == "protocol.codec was imported before the accelerator was looked for\n"


def test_a_worker_that_must_have_one_does_not_begin_without(tmp_path):
    installed(tmp_path, digest="0" * 64)
    done = run("import sys; sys.argv = ['caas', 'worker']; from caas.__main__ import main; main()", tmp_path, CAAS_ACCELERATED="on")
    assert done.returncode == 2
    assert "`make accelerator`" in done.stderr


def test_the_command_line_has_imported_nothing_that_is_compiled(tmp_path):
    listed = [line for line in (ROOT / "accelerator" / "modules.txt").read_text().splitlines() if not line.startswith("#")]
    assert all((ROOT / line).is_file() for line in listed)
    done = run("import sys, caas.__main__; print(*sys.modules)", tmp_path)
    assert not {line.removesuffix(".py").replace("/", ".") for line in listed} & set(done.stdout.split())
