"""Frames that are wrong, each with what is answered: the corpus of `protocol/vectors/bad_frames.json`.

They are sent by alice after her `hello`, in the development set-up; `i` is 7 wherever there is one.
"""

import json
import re
from typing import Any

import msgpack

from protocol.examples import FIRST

FUTURE = "ffffffff-ffff-7fff-bfff-ffffffffffff"
_RUN = re.compile(r"((?:[0-9a-f]{2}){1,3}?)\1{15,}")


def _command(m: Any, p: Any = None, i: Any = 7) -> bytes:
    return bytes(msgpack.packb({"i": i, "m": m, "p": {} if p is None else p}))


def _send(**p: Any) -> bytes:
    return _command("message.send", {"c": "lobby", "id": FIRST, "text": "x", **p})


def _nested(depth: int) -> bytes:
    """A command whose `p` is nested so deep (its own map is 1)."""
    return b"\x83\xa1i\x07\xa1m\xacmessage.send\xa1p" + b"\x81\xa1a" * (depth - 2) + b"\x80"


def _text(command: Any) -> str:
    return json.dumps(command, separators=(",", ":"))


CASES: list[tuple[str, bytes | str, str]] = [
    ("bytes that are no msgpack", b"\xc1\xff\x00", "close 4500"),
    ("a frame that ends too early", _command("x")[:-1], "close 4500"),
    ("bytes behind a command", _command("x") + b"\x01", "close 4500"),
    ("invalid UTF-8 in a text", b"\x82\xa1i\x07\xa1m\xa2\xff\xfe", "close 4500"),
    ("an empty array", bytes(msgpack.packb([])), "close 4500"),
    ("an array of 65 commands", bytes(msgpack.packb([{"m": "x"}] * 65)), "close 4500"),
    ("something else than a map", bytes(msgpack.packb("hello")), "close 4500"),
    ("no `m`", bytes(msgpack.packb({"i": 7, "p": {}})), "close 4500"),
    ("`i` is 0", _command("x", i=0), "close 4500"),
    ("`i` is 2^32", _command("x", i=2**32), "close 4500"),
    ("`i` is true", _command("x", i=True), "close 4500"),
    ("two commands with one `i`", bytes(msgpack.packb([{"i": 7, "m": "user.get", "p": {"users": []}}] * 2)), "close 4500"),
    ("a text frame on caas.v1", "TEXT", "close 4500"),
    ("a frame over 64 KiB", _send(text="x" * 70_000), "close 1009"),
    ("an unknown command", _command("message.shout"), "unknown_command"),
    ("`p` is no map", _command("message.send", [1]), "bad_request"),
    ("a field is missing", _command("message.send", {"c": "lobby"}), "bad_request"),
    ("a number where text is meant", _send(text=7), "bad_request"),
    ("a float where an integer is meant", _command("message.list", {"c": "lobby", "limit": 2.0}), "bad_request"),
    ("a bool where an integer is meant", _command("message.list", {"c": "lobby", "limit": True}), "bad_request"),
    ("null where it clears nothing", _send(text=None), "bad_request"),
    ("an integer of 2^53", _command("message.list", {"c": "lobby", "after": 2**53}), "bad_request"),
    ("an integer of 2^63", _command("message.list", {"c": "lobby", "after": 2**63}), "bad_request"),
    ("bytes (bin)", _send(custom={"a": b"\x00"}), "bad_request"),
    ("an extension type", _send(custom={"a": msgpack.ExtType(5, b"x")}), "bad_request"),
    ("17 levels deep", _nested(17), "bad_request"),
    ("a thousand levels deep", _nested(1_000), "bad_request"),
    ("4,097 items", _send(custom={"a": [0] * 4_097}), "bad_request"),
    ("an id with NUL", _send(c="lob\x00by"), "bad_request"),
    ("a float that is no number", _send(custom={"a": float("nan")}), "bad_request"),
    ("a key that is no text", _send(custom={"a": [{7: 1}]}), "bad_request"),
    ("a UUIDv4 as an id", _send(id="0199c0ff-ee00-4000-8000-000000000000"), "bad_request"),
    ("an id in upper case", _send(id=FIRST.upper()), "bad_request"),
    ("an id of a far year", _send(id=FUTURE), "id_in_future"),
    ("text over 16 KiB", _send(text="x" * 16_385), "too_large"),
    ("`custom` over 4 KiB", _send(custom={"a": "x" * 4_100}), "too_large"),
    ("101 mentions", _send(mentions=["bob"] * 101), "too_large"),
    ("a user who does not exist", _command("member.add", {"c": "lobby", "users": ["ghost"]}), "not_found"),
    ("a conversation of others", _send(c="~0123456789abcdefghjkmnpq"), "not_found"),
    ("a second hello", _command("hello", {"token": "x"}), "bad_request"),
]
"""On `caas.v1`; a text goes as a text frame."""

TWIN: list[tuple[str, bytes | str, str]] = [
    ("text that is no JSON", "{", "close 4500"),
    ("two values", "{\"m\":\"x\"}{\"m\":\"x\"}", "close 4500"),
    ("an empty array, in JSON", "[]", "close 4500"),
    ("no `m`, in JSON", _text({"i": 7, "p": {}}), "close 4500"),
    ("`i` is 1.0, in JSON", '{"i":1.0,"m":"x"}', "close 4500"),
    ("a binary frame on caas.v1.json", b"{\"i\":7,\"m\":\"x\"}", "close 4500"),
    ("an unknown command, in JSON", _text({"i": 7, "m": "message.shout"}), "unknown_command"),
    ("an integer of 2^53, in JSON", _text({"i": 7, "m": "message.list", "p": {"c": "lobby", "after": 2**53}}), "bad_request"),
    ("17 levels deep, in JSON", '{"i":7,"m":"message.send","p":' + '{"a":' * 15 + "{}" + "}" * 16, "bad_request"),
]
"""On `caas.v1.json`; bytes go as a binary frame."""


def vectors() -> dict[str, Any]:
    """The corpus as JSON has it."""
    return {"about": "Sent by alice after `hello`, in the development set-up, each on a connection of its own. `binary` and `text` say the kind "
                     "of frame; a list stands for its parts in a row, `[part, times]` for a part so often. `answer` is an error code, or how the "
                     "connection is closed.",
            "caas.v1": [_vector(*case) for case in CASES], "caas.v1.json": [_vector(*case) for case in TWIN]}


def payload(vector: dict[str, Any]) -> bytes | str:
    """What to send: bytes in a binary frame, text in a text frame."""
    if "text" in vector:
        return str(vector["text"])
    parts = vector["binary"] if isinstance(vector["binary"], list) else [vector["binary"]]
    return bytes.fromhex("".join(part if isinstance(part, str) else part[0] * part[1] for part in parts))


def _vector(name: str, frame: bytes | str, answer: str) -> dict[str, Any]:
    held = {"text": frame} if isinstance(frame, str) else {"binary": _shortened(frame.hex())}
    return {"name": name, **held, "answer": answer}


def _shortened(digits: str) -> str | list[Any]:
    """Hexadecimal text; runs of the same bytes are said once."""
    parts: list[Any] = []
    at = 0
    for run in _RUN.finditer(digits):
        if run.start() % 2:
            continue
        parts += [digits[at : run.start()]] if run.start() > at else []
        parts.append([run[1], len(run[0]) // len(run[1])])
        at = run.end()
    rest = [digits[at:]] if at < len(digits) else []
    return digits if not parts else parts + rest
