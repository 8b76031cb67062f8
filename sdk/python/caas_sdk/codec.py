"""Frames: maps to msgpack and back. Several commands share a frame, as many as fit."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgpack

Frame = dict[str, Any]


def encode(command: Frame) -> bytes:
    """One command as msgpack. Raises TypeError or ValueError for what the wire cannot carry."""
    packed: bytes = msgpack.packb(command, use_bin_type=True)
    return packed


def gather(commands: Sequence[bytes], most_bytes: int, most: int) -> Iterator[tuple[int, bytes]]:
    """Encoded commands as frames of at most `most_bytes` and `most` commands: (how many, the frame). One alone is no array."""
    batch: list[bytes] = []
    size = 0
    for command in commands:
        if batch and (len(batch) == most or 3 + size + len(command) > most_bytes):
            yield _frame(batch)
            batch, size = [], 0
        batch.append(command)
        size += len(command)
    if batch:
        yield _frame(batch)


def decode(data: bytes) -> list[Frame]:
    """The replies and pushes of one frame. Raises ValueError for what is none."""
    value = msgpack.unpackb(data, raw=False, strict_map_key=True, max_ext_len=0, max_bin_len=0)
    frames = value if isinstance(value, list) else [value]
    if not all(isinstance(frame, dict) for frame in frames):
        raise ValueError("something else than a map")
    return frames


def _frame(batch: list[bytes]) -> tuple[int, bytes]:
    if len(batch) == 1:
        return 1, batch[0]
    return len(batch), msgpack.Packer().pack_array_header(len(batch)) + b"".join(batch)
