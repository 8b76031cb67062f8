"""How a worker says that it serves: a file beside its socket, there for as long as it does."""

from pathlib import Path


def ready_file(data: Path, worker: str) -> Path:
    """Where it stands."""
    return data / "run" / f"{worker}.ready"
