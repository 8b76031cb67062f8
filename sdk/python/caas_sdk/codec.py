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


def hear(data: bytes) -> list[Frame]:
    """The replies and pushes of one frame, which are what the rest of a client relies on. Raises ValueError for what is none: the other end is
    broken, and nothing of it is taken."""
    frames = decode(data)
    if not all(_is_push(frame) if "t" in frame else _is_reply(frame) for frame in frames):
        raise ValueError("neither a push nor a reply")
    return frames


def decode(data: bytes) -> list[Frame]:
    """The maps of one frame. Raises ValueError for what is none."""
    value = msgpack.unpackb(data, raw=False, strict_map_key=True, max_ext_len=0, max_bin_len=0)
    frames = value if isinstance(value, list) else [value]
    if not all(isinstance(frame, dict) for frame in frames):
        raise ValueError("something else than a map")
    return frames


def _is_push(frame: Frame) -> bool:
    s, c = frame.get("s", 1), frame.get("c", "")
    return (isinstance(frame["t"], str) and isinstance(c, str) and type(s) is int and s > 0 and isinstance(frame.get("p", {}), dict)
            and ("c" in frame or "s" not in frame))


def _is_reply(frame: Frame) -> bool:
    i, e = frame.get("i"), frame.get("e")
    said = isinstance(frame.get("r"), dict) if e is None else isinstance(e, dict) and isinstance(e.get("code"), str)
    return type(i) is int and 0 < i < 2**32 and said


def _frame(batch: list[bytes]) -> tuple[int, bytes]:
    if len(batch) == 1:
        return 1, batch[0]
    return len(batch), msgpack.Packer().pack_array_header(len(batch)) + b"".join(batch)
