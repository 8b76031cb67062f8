"""What processes used, and what happens where the generator cannot be compiled."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import processes
from bench.build import SOURCES, NoCompiler, built, compile_c


def test_the_processor_time_of_a_process_is_what_its_own_clock_says() -> None:
    before = time.process_time()
    read = processes.cpu_s([os.getpid()])
    assert before <= read <= time.process_time()


def test_a_process_that_has_gone_used_nothing_and_holds_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert processes.cpu_s([gone.pid]) == 0
    assert processes.rss_kb([gone.pid]) == 0
    assert processes.family(gone.pid) == [gone.pid]


def test_children_are_found() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in processes.children(os.getpid())
        assert child.pid in processes.family(os.getpid())
        assert processes.rss_kb([child.pid]) > 0
        child.communicate()


def test_without_a_compiler_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoCompiler, match="apt install gcc"):
        built("generate", tmp_path)


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (compiler := tmp_path / "cc").write_text("#!/bin/sh\necho 'no such header' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(NoCompiler, match="could not compile generate: no such header"):
        compile_c(SOURCES["generate"], tmp_path / "generate")


def test_what_is_newer_than_its_sources_is_not_built_again(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    assert built("generate", programs) == programs / "generate"
