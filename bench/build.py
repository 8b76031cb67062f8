"""`python -m bench.build`: the C programs of the bench, compiled with `cc` into bench/build/, when they are older than what they are made of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / "build"
SOURCES = {"generate": sorted((HERE / "generator").glob("*.c")), "ceiling": [HERE / "ceiling.c"]}
FLAGS = ("-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra")


class NoCompiler(Exception):
    """There is neither a built program nor a C compiler that can build it."""


def built(name: str, into: Path = BUILT) -> Path:
    """The program of this name, compiled first if need be. NoCompiler when that cannot be."""
    program, sources = into / name, SOURCES[name]
    newest = max(path.stat().st_mtime for path in (*sources, *sources[0].parent.glob("*.h")))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    compile_c(sources, program)
    return program


def compile_c(sources: list[Path], program: Path, *more: str) -> None:
    """Compile and link. The result appears at once and whole, for others may be running the one before."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if not compiler:
        raise NoCompiler("the load generator is a C program and there is no C compiler: install one (Debian: apt install gcc libc6-dev) or set CC")
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_name(f"{program.name}.{os.getpid()}")
    done = subprocess.run([compiler, *FLAGS, *more, "-o", str(fresh), *map(str, sources)], capture_output=True, text=True)
    if done.returncode:
        raise NoCompiler(f"`{compiler}` could not compile {program.name}: {done.stderr[-2000:].strip()}")
    fresh.rename(program)


def main() -> int:
    """Build them all."""
    try:
        print(*(built(name) for name in SOURCES), sep="\n")
    except NoCompiler as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
