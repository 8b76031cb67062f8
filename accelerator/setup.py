"""Compiles native.c, and the modules of modules.txt as they are, with mypyc, into a wheel of one package. `make accelerator` builds and installs it.

The copies that are compiled lie in build/: the sources of the checkout are never written to, and nothing compiled lies beside them.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from mypyc.build import mypycify
from setuptools import Extension, setup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from caas import __version__  # noqa: E402 - of this checkout
from caas.acceleration import MANIFEST, PACKAGES, digest  # noqa: E402

OPTIONS = ("--config-file=", "--explicit-package-bases", "--ignore-missing-imports",
           "--python-version", f"{sys.version_info[0]}.{sys.version_info[1]}")
LEVEL = os.environ.get("CAAS_ACCELERATOR_LEVEL", "2")
"""Of the C compiler's optimisation. Nothing is asked of the processor that others of its family have not."""
NATIVE = "transport.websocket.native"
"""Written in C by hand: native.c."""


def listed() -> list[str]:
    """Paths, as modules.txt has them."""
    lines = (HERE / "modules.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def copied() -> Path:
    """The packages' sources, where they may be compiled."""
    shutil.rmtree(HERE / "build", ignore_errors=True)
    work = HERE / "build" / "sources"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, work / package, ignore=lambda folder, names: [
            name for name in names if not (name.endswith(".py") or Path(folder, name).is_dir()) or name == "__pycache__"])
    return work


def compiled() -> list[Any]:
    """Extension modules of the package, each named for the module that it stands for."""
    work = copied()
    os.chdir(work)
    extensions = mypycify([*OPTIONS, *listed()], opt_level=LEVEL, debug_level="0", target_dir=str(HERE / "build" / "c")) if listed() else []
    os.chdir(HERE)
    for extension in extensions:
        extension.name = f"caas_accelerator.compiled.{extension.name}"
        extension.sources = [str((work / source).resolve()) for source in extension.sources]
    return [*extensions, Extension(f"caas_accelerator.compiled.{NATIVE}", ["native.c"], extra_compile_args=["-O2"])]


modules = [*(path.removesuffix(".py").replace("/", ".") for path in listed()), NATIVE]
manifest = {"digest": digest(ROOT), "modules": modules}
(HERE / "caas_accelerator" / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
only_asked = {"dist_info", "egg_info"} & set(sys.argv)  # what the wheel will be called, before it is built
setup(version=__version__, packages=["caas_accelerator"], package_data={"caas_accelerator": [MANIFEST]}, ext_modules=[] if only_asked else compiled())
