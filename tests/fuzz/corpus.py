"""What the fuzz programs begin with: for each target a file of inputs that are kept, one a line in base64, and the golden frames."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path

from storage.ports.entry import Entry, encode_entry
from transport.pipe import frame

KEPT = Path(__file__).parent / "corpus"
FRAMES = Path(__file__).parents[2] / "protocol" / "vectors" / "frames"
LONGEST, MOST = 512, 150
"""Bytes of an input that is kept, and how many of them for a target."""


def kept(target: str) -> list[bytes]:
    """The inputs of a target that stand in the repository."""
    file = KEPT / f"{target}.txt"
    return [base64.b64decode(line) for line in file.read_text().split()] if file.exists() else []


def keep(target: str, inputs: Iterable[bytes]) -> int:
    """Write these, the shortest first; how many."""
    chosen = sorted({data for data in inputs if len(data) <= LONGEST}, key=lambda data: (len(data), data))[:MOST]
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{target}.txt").write_text("".join(base64.b64encode(data).decode() + "\n" for data in chosen))
    return len(chosen)


BEGINNINGS: dict[str, bytes] = {
    "websocket_frames": b"\x07\x82\x85\x00\x00\x00\x00hello\x01\x82\x00\x00\x00\x00he\x89\x80\x00\x00\x00\x00"
                        b"\x80\x83\x00\x00\x00\x00llo\x88\x82\x00\x00\x00\x00\x03\xe8",
    "handshakes": b"GET /ws?a=b HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: caas.v1, caas.v1.json\r\nOrigin: http://h\r\n\r\n",
    "entries": encode_entry(Entry(1, "message.new", "t", "c", "alice", bytes(16), 7, 1_700_000_000_000, ("n", 1, 2), b"h" * 16, "key",
                                  {"mentions": ["bob"]}, b"body"))[4:],
    "links": frame(1, 7, {"kind": "watch", "seqs": [1, 2]}) + frame(2, 7, None) + frame(3, 7, ["timeout", "too late", None, None, 250]),
    "acts": b"0199c0ff-ee00-7000-8000-00000000cafe",
}
"""Where to begin, for those who read no frames of the protocol."""


def golden(target: str) -> list[bytes]:
    """The golden frames, where they are what the target reads, or something else that is right."""
    if target in BEGINNINGS:
        return [BEGINNINGS[target]]
    said = [part for path in sorted(FRAMES.glob("*.json")) for part in json.loads(path.read_text()).values() if isinstance(part, dict)]
    if target in ("msgpack_commands", "sdk_frames"):
        return [bytes.fromhex(part["msgpack"]) for part in said if "msgpack" in part]
    if target == "json_commands":
        return [json.dumps(part["frame"]).encode() for part in said if "frame" in part]
    raise KeyError(target)


def fill(folder: Path, target: str) -> None:
    """Both, as files, which is what the fuzzing engine reads."""
    for number, data in enumerate([*kept(target), *golden(target)]):
        (folder / f"seed-{number:04}").write_bytes(data)


