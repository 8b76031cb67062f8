"""Fuzzing that is guided by what of the code was reached (atheris): `python -m tests.fuzz.guided TARGET --seconds 5 [--seed N] [--keep]`.

It prints how many inputs were tried. An input that breaks the target is written to a file, and the exit code is not 0; put its line of base64
into tests/fuzz/corpus/TARGET.txt when it is mended. `--keep` adds what reached something new.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTRUMENTED = ["protocol", "transport", "storage.ports", "caas_sdk", "tests.fuzz.targets"]
NAMES = ("websocket_frames", "handshakes", "msgpack_commands", "json_commands", "entries", "links", "sdk_frames", "acts")
LONGEST = 4_096
"""Bytes of an input."""


class Result:
    """What one program did: how many inputs it tried, and what it said when one broke its target (empty: none did)."""

    def __init__(self, run: "subprocess.CompletedProcess[str]") -> None:
        found = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
        self.tried = int(found[1]) if found else 0
        self.broken = "" if not run.returncode and self.tried else run.stdout[-2_000:] + run.stderr[-2_000:]


def guided(target: str, seconds: int, seed: int, folder: Path) -> Result:
    """Run the program of one target for so long, in a folder of its own that its findings are left in."""
    from tests.fuzz.corpus import fill  # not above: the program itself must not have loaded what it is to instrument

    (folder / "corpus").mkdir(parents=True)
    if target in NAMES:
        fill(folder / "corpus", target)
    flags = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", "-print_final_stats=1", "-timeout=5",
             "-rss_limit_mb=1024", "-reduce_inputs=1", f"-artifact_prefix={folder}/", str(folder / "corpus")]
    return Result(subprocess.run([sys.executable, "-m", "tests.fuzz.guided", target, "--here", *flags], cwd=ROOT, capture_output=True, text=True))


def here(target: str, flags: Sequence[str]) -> None:
    """Be the program: does not return."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz import targets
    atheris.Setup([sys.argv[0], *flags], getattr(targets, target))
    atheris.Fuzz()


def found(folder: Path) -> list[bytes]:
    """What reached something new, made small by the engine."""
    return [file.read_bytes() for file in (folder / "corpus").iterdir() if not file.name.startswith("seed-")]


def main() -> int:
    """One target, told on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="caas-fuzz-"))
    result = guided(given.target, given.seconds, given.seed, folder)
    print(f"{given.target}: {result.tried} inputs in {given.seconds} s; {result.broken or 'none broke it'}")
    if given.keep and not result.broken:
        from tests.fuzz.corpus import keep, kept

        print(f"{keep(given.target, [*kept(given.target), *found(folder)])} inputs are kept")
    return 1 if result.broken else 0


if __name__ == "__main__":
    if sys.argv[2:3] == ["--here"]:
        here(sys.argv[1], sys.argv[3:])
    sys.exit(main())
