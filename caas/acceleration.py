"""The accelerator: compiled copies of hot modules in a wheel of their own (`accelerator/`), taken in place of the sources where they fit.

It is never needed. The copies are made from these very sources, and stand in for them only where the sources are the same to the byte
and nothing of them has been imported yet. No file of the program is hidden or replaced: a finder answers for the modules by name.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final, Literal, NamedTuple

PACKAGE: Final = "caas_accelerator"
MANIFEST: Final = "manifest.json"
PACKAGES: Final = ("actors", "protocol", "services", "storage", "supervisor", "transport")
"""Whose sources count: what is compiled leans on all of them."""

Choice = Literal["auto", "on", "off"]


class Acceleration(NamedTuple):
    """Whether compiled modules are in use, and if not, why."""

    on: bool
    said: str
    wrong: bool = False
    """An accelerator is installed and cannot be used."""


class Unfit(Exception):
    """It was asked for and cannot be had; the sentence says what to do."""


class Finder(MetaPathFinder):
    """Answers for the compiled modules, and for what they share."""

    def __init__(self, folder: Path, modules: Sequence[str]) -> None:
        suffix = EXTENSION_SUFFIXES[0]
        self._files = {name: folder / f"{name.replace('.', '/')}{suffix}" for name in modules}
        self._files |= {shared.name.removesuffix(suffix): shared for shared in folder.glob(f"*{suffix}")}

    @property
    def missing(self) -> list[str]:
        """Modules that are not there for this interpreter."""
        return [name for name, file in self._files.items() if not file.exists()]

    @property
    def imported(self) -> list[str]:
        """Modules for which it is too late."""
        return [name for name in self._files if name in sys.modules]

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Of a compiled module; None for all others."""
        file = self._files.get(fullname)
        if file is None:
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, str(file)))


_current = Acceleration(False, "not asked for")


def current() -> Acceleration:
    """What this process runs on."""
    return _current


def accelerate(choice: Choice) -> Acceleration:
    """Have compiled modules imported from now on, if there are fitting ones. Raises Unfit where `on` cannot be."""
    global _current
    if not _current.on:
        _current, finder = look(choice)
        if finder is not None and (early := finder.imported):
            _current = Acceleration(False, f"{early[0]} was imported before the accelerator was looked for", wrong=True)
        elif finder is not None:
            sys.meta_path.insert(0, finder)
    if choice == "on" and not _current.on:
        raise Unfit(f"`accelerated` is on and there is no accelerator to use: {_current.said}")
    return _current


def look(choice: Choice = "auto") -> tuple[Acceleration, Finder | None]:
    """What accelerate() would find; changes nothing."""
    if choice == "off":
        return Acceleration(False, "switched off"), None
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.origin:
        return Acceleration(False, "not installed: pure Python"), None
    folder = Path(spec.origin).parent
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        finder = Finder(folder / "compiled", manifest["modules"])
        fits = manifest["digest"] == digest(Path(__file__).resolve().parents[1])
    except (OSError, ValueError, LookupError, TypeError) as error:
        return Acceleration(False, f"the accelerator is damaged ({error!r}): build it anew with `make accelerator`", wrong=True), None
    if finder.missing:
        return Acceleration(False, f"the accelerator was built for another Python ({finder.missing[0]} is missing): "
                                   "build it anew with `make accelerator`", wrong=True), None
    if not fits:
        return Acceleration(False, "the accelerator was built from other sources than these: build it anew with `make accelerator`", wrong=True), None
    return Acceleration(True, f"{len(manifest['modules'])} compiled modules"), finder


def digest(root: Path) -> str:
    """Of the sources that compiled modules are made from and lean on."""
    total = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            total.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()
