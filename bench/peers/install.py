"""`python -m bench.peers.install [--missing] [NAME ...]` (`make bench-peers`): others' servers, each from its lock into a folder of its own.

What cannot be installed here (no npm, no Go, no network) is left out, and said; a report then has no row of it.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NODE, PYTHON, GO = ("ws", "socketio"), ("uvicorn", "python_socketio", "trio_websocket"), ("centrifuge",)


def program(name: str) -> list[str]:
    """The command that starts a peer; an empty list when it is not installed."""
    folder = HERE / name
    needs, command = {
        "ws": (folder / "node_modules", ["node", "server.mjs"]),
        "socketio": (folder / "node_modules", ["node", "server.mjs"]),
        "centrifuge": (folder / "build" / "server", [str(folder / "build" / "server")]),
    }.get(name, (folder / ".venv" / ".installed", [str(folder / ".venv" / "bin" / "python"), "server.py"]))
    return command if needs.exists() else []


def install(name: str) -> None:
    """From its lock."""
    folder = HERE / name
    if name in NODE:
        _run(folder, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
    elif name in GO:
        _run(folder, "go", "build", "-trimpath", "-o", "build/server", ".")
    else:
        _run(folder, sys.executable, "-m", "venv", ".venv")
        _run(folder, ".venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
             "-r", "requirements.txt")
        (folder / ".venv" / ".installed").touch()


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True)


def main() -> None:
    """Install those named, or all; with `--missing` only what is not there yet."""
    missing_alone = "--missing" in sys.argv
    for name in [name for name in sys.argv[1:] if name != "--missing"] or (*NODE, *PYTHON, *GO):
        if missing_alone and program(name):
            continue
        try:
            install(name)
            print(f"{name}: installed")
        except (OSError, subprocess.CalledProcessError) as failed:
            print(f"{name}: NOT installed, the bench will do without it: {failed}")


if __name__ == "__main__":
    main()
