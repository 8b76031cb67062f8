"""The master key: what wraps every tenant's key. A file beside the data, readable by its owner alone; losing it loses all bodies."""

import os
from pathlib import Path

from protocol.world import Rng

SIZE = 32


def master_key(data: Path, rng: Rng) -> bytes:
    """The set-up's master key, made the first time. Of several workers that make it, the first decides. Raises ValueError."""
    path = data / "master.key"
    if not path.exists():
        _make(path, rng)
    key = path.read_bytes()
    if len(key) != SIZE:
        raise ValueError(f"{path} does not hold {SIZE} bytes: put back the key this set-up was made with")
    return key


def _make(path: Path, rng: Rng) -> None:
    """Written whole under another name, then linked: nobody ever sees half of it, and nobody's key is replaced."""
    written = path.with_name(f".master-{rng.bytes(8).hex()}")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(rng.bytes(SIZE))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(written, path)
    except FileExistsError:
        return
    finally:
        written.unlink()
