"""What was measured on, and with what: nothing that names the machine, or a place on it."""

import json
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from bench.peers.install import HERE
from caas import __version__


def machine() -> list[str]:
    """Processor, cores, kernel, disk; versions of ours."""
    known = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in known if line.startswith("model name")), "unknown processor")
    packages = ", ".join(f"{name} {version(name)}" for name in ("trio", "msgspec", "hypercorn"))
    return [f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, fdatasync of 4 KiB {sync_ms():.2f} ms",
            f"caas {__version__}, Python {platform.python_version()}, {packages}, SQLite {sqlite3.sqlite_version}"]


def peers() -> list[str]:
    """Versions of others' servers and what they run on, as their locks and programs say."""
    found = [*_node(), *_python(), *_go()]
    return [", ".join(found)] if found else []


def load() -> str:
    """What else the machine did."""
    return f"{os.getloadavg()[0]:.1f} processes ran or waited to, on average over a minute, when it ended"


def sync_ms() -> float:
    """What one fdatasync costs where the servers keep their data."""
    took = []
    with tempfile.NamedTemporaryFile(prefix="caas-bench-") as file:
        for _ in range(50):
            file.write(bytes(4096))
            file.flush()
            began = time.monotonic()
            os.fdatasync(file.fileno())
            took.append(time.monotonic() - began)
    return statistics.median(took) * 1000


def _node() -> Iterator[str]:
    yield from _said("Node", "node", "--version")
    for peer, package in (("ws", "ws"), ("socketio", "socket.io")):
        lock = json.loads((HERE / peer / "package-lock.json").read_text())
        yield f"{package} {lock['packages'][f'node_modules/{package}']['version']}"


def _python() -> Iterator[str]:
    for peer, packages in (("uvicorn", ("uvicorn", "uvloop", "websockets")), ("python_socketio", ("python-socketio",)),
                           ("trio_websocket", ("trio-websocket",))):
        lock = (HERE / peer / "requirements.txt").read_text()
        yield from (" ".join(one) for name in packages for one in re.findall(rf"^({name})==(\S+)", lock, re.MULTILINE))


def _go() -> Iterator[str]:
    yield from _said("", "go", "version")
    yield from (f"centrifuge {one}" for one in re.findall(r"centrifugal/centrifuge (v\S+)", (HERE / "centrifuge" / "go.mod").read_text()))


def _said(name: str, *command: str) -> Iterator[str]:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return
    yield f"{name} {said}".strip()
