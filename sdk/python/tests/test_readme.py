"""The README's programs run as they stand, but for the address."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_there_is_one_for_each_face() -> None:
    assert len(PROGRAMS) == 2


@pytest.mark.parametrize("program", PROGRAMS, ids=["trio", "asyncio"])
def test_it_runs(program: str, server: str) -> None:
    assert len([line for line in program.splitlines() if line.strip() and not line.startswith(("import", "trio.run", "asyncio.run"))]) <= 8
    exec(compile(program.replace("http://127.0.0.1:3000", server), "README.md", "exec"), {})
