"""The public face of the package is its sorted `__all__`, and nothing else."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType

import supervisor


def test_everything_imported_is_exported_and_sorted_as_ruff_sorts() -> None:
    public = {name for name, value in vars(supervisor).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert set(supervisor.__all__) == public
    assert len(supervisor.__all__) == len(public)


def test_it_stands_on_trio_alone() -> None:
    allowed = {"supervisor", "trio", "outcome"}  # outcome is part of trio's own interface to tasks
    for path in Path(str(supervisor.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in allowed or is_standard(top), f"{path.name} imports {name}"


def is_standard(name: str) -> bool:
    return name in sys.stdlib_module_names


def test_modules_are_not_part_of_the_face() -> None:
    assert not [name for name in supervisor.__all__ if isinstance(getattr(supervisor, name), ModuleType)]
