"""`protocol/vectors/`: a golden frame for every command and push, bad frames with their answers, and the constants. For SDKs in any language."""

import json
import struct
from collections.abc import Sequence
from typing import Any, get_args

from protocol import limits
from protocol.closing import CLOSINGS
from protocol.codec import pack
from protocol.errors import CODES, RETRY_AFTER_MS, Refused, too_large
from protocol.events import EVENTS, Entry, Personal
from protocol.examples import PUSHES, REQUEST_ID
from protocol.limits import LIMITS
from scripts import bad_frames
from scripts.program import Program, Said

I = 7  # noqa: E741 - as the wire calls it
WHERE = "protocol/vectors"


def files(program: Program) -> dict[str, str]:
    """The text of every file, by its path."""
    made = {f"{WHERE}/frames/{said.name}.json": _command(said) for said in program.commands}
    made |= {f"{WHERE}/frames/push.{name}.json": _push(name) for name in EVENTS}
    made |= {f"{WHERE}/errors.json": {"about": "The error reply for every code.", "errors": [_error(code) for code in CODES]},
             f"{WHERE}/bad_frames.json": bad_frames.vectors(), f"{WHERE}/constants.json": constants(program.commands)}
    return {path: json.dumps(value, ensure_ascii=False, indent=2) + "\n" for path, value in made.items()}


def constants(commands: Sequence[Said]) -> dict[str, Any]:
    """What every SDK has as constants."""
    durable = {kind.__struct_config__.tag for kind in get_args(Entry)}
    return {
        "subprotocols": ["caas.v1", "caas.v1.json"],
        "limits": LIMITS,
        "errors": {code: {"status": row.status, "retryable": row.retryable, "title": row.title,
                          **({"retry_after_ms": RETRY_AFTER_MS[code]} if code in RETRY_AFTER_MS else {})} for code, row in CODES.items()},
        "closings": {closing.reason: {"code": closing.code, "reconnect": closing.reconnect} for closing in CLOSINGS},
        "commands": [said.name for said in commands],
        "pushes": {name: {"durable": name in durable, "personal": issubclass(kind, Personal)} for name, kind in EVENTS.items()},
        "seconds": {"heartbeat": limits.HEARTBEAT_S, "hello_within": limits.HELLO_WITHIN_S, "heads_every": limits.HEADS_EVERY_S,
                    "verdict_within": limits.VERDICT_WITHIN_S},
    }


def _command(said: Said) -> dict[str, Any]:
    return {
        "name": said.name, "kind": "command", "command": _frame({"i": I, "m": said.name, "p": said.example.p}),
        "reply": _frame({"i": I, "r": said.example.r}), "refuses": list(said.refuses),
    }


def _push(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "push", "push": _frame(PUSHES[name])}


def _error(code: str) -> dict[str, Any]:
    refused = too_large("text", limits.TEXT, 20_000, "text") if code == "too_large" else Refused(code)
    return {"code": code, **_frame({"i": I, "e": refused.to_wire(REQUEST_ID)})}


def _frame(frame: dict[str, Any]) -> dict[str, Any]:
    """Its meaning, its shortest bytes, and the same in the widest ones there are: readers take any width."""
    return {"frame": frame, "msgpack": pack(frame).hex(), "msgpack_wide": wide(frame).hex()}


def wide(value: Any) -> bytes:
    """msgpack with every length and integer as wide as can be."""
    match value:
        case None | bool():
            return pack(value)
        case int():
            return struct.pack(">Bq", 0xD3, value) if value < 0 else struct.pack(">BQ", 0xCF, value)
        case str():
            return struct.pack(">BI", 0xDB, len(raw := value.encode())) + raw
        case list():
            return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(wide, value))
        case dict():
            return struct.pack(">BI", 0xDF, len(value)) + b"".join(wide(key) + wide(inner) for key, inner in value.items())
    raise TypeError(f"no such value on the wire: {value!r}")
