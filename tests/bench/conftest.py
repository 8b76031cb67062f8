"""The bench's C programs, compiled as the tests need them. Without a compiler these tests are skipped, but never in CI."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.build import HERE, SOURCES, NoCompiler, compile_c


def compiled(sources: list[Path], program: Path) -> Path:
    try:
        compile_c(sources, program, "-Werror", f"-I{HERE / 'generator'}")
    except NoCompiler as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"THE LOAD GENERATOR IS NOT TESTED: {missing}")
    return program


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Answers a line with a line, as tests/bench/vectors.c says."""
    program = compiled([Path(__file__).with_name("vectors.c")], tmp_path_factory.mktemp("c") / "vectors")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(line: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield ask
        process.stdin.close()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `generate` and `ceiling`, compiled without a warning."""
    folder = tmp_path_factory.mktemp("built")
    for name, sources in SOURCES.items():
        compiled(sources, folder / name)
    return folder
