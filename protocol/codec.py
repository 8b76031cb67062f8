"""Bytes to commands, and replies and pushes to bytes: the one place that knows msgpack and its JSON twin.

What a frame may hold is checked before it is decoded: depth, how many items, no key but text, no bytes or extension types, no integer from
2**53 on, no float that is no number (the twin could not tell of it). A frame of flat commands is decoded and found to be flat in one go
(`_flat`); one without such bytes passes a look by C, and one at its keys; anything else is walked token by token (`protocol/scan.py`).
"""

import re
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from protocol import limits
from protocol.errors import Refused
from protocol.scan import ABSENT, Finding, scan

_unpack = msgspec.msgpack.Decoder().decode
_parse = msgspec.json.Decoder().decode


class Packed:
    """A value that is msgpack already: a push as it was told before."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def _as_it_is(value: object) -> msgspec.Raw:
    if isinstance(value, Packed):
        return msgspec.Raw(value.data)
    raise NotImplementedError


def _decoded(value: object) -> Any:
    if isinstance(value, Packed):
        return _unpack(value.data)
    raise NotImplementedError


pack = msgspec.msgpack.Encoder(enc_hook=_as_it_is).encode
"""Any value as msgpack."""
write = msgspec.json.Encoder(enc_hook=_decoded).encode
"""Any value as JSON."""

_HARMLESS = bytes(byte for byte in range(256) if not (0x80 <= byte <= 0x9F or (0xC1 <= byte <= 0xCB and byte not in (0xC2, 0xC3))
                                                      or byte in (0xCF, 0xD3) or 0xD4 <= byte <= 0xD8 or 0xDC <= byte <= 0xDF))
_SMALL_CONTAINERS = bytes(range(0x80, 0xA0))
_DIGITS = re.compile(rb"[0-9]{16,}")
_PATH = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`")
_NESTED = re.compile(r"\[(\d+)\]")


_Whole = Annotated[int, Meta(ge=-limits.LARGEST_INTEGER, le=limits.LARGEST_INTEGER)]
_FLAT_MOST = limits.ITEMS
"""Bytes: so small a frame cannot hold more than ITEMS."""


class _Flat(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A command as nearly all are: nothing inside `p` but texts, whole numbers, yes and no."""

    m: str
    i: Annotated[int, Meta(ge=1, le=limits.LARGEST_REQUEST)] = 0
    p: dict[str, str | bool | _Whole | list[str] | None] = {}


_flat = msgspec.msgpack.Decoder(_Flat | list[_Flat]).decode


class BadFrame(Exception):
    """Not decodable, or no command in it: the connection is closed with 4500, and nothing of the frame takes effect."""


class Command(msgspec.Struct, frozen=True, gc=False):
    """One command of a frame. `i` 0: no answer is wanted. `refusal`: decodable, but not to be carried out."""

    i: int
    m: str
    p: dict[str, Any]
    refusal: Refused | None = None


def decode_commands(payload: bytes, *, text: bool) -> list[Command]:
    """The commands of one frame, 1 to 64. Raises BadFrame."""
    if not text and len(payload) <= _FLAT_MOST:
        try:
            flat = _flat(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):  # what is wrong, or merely not flat, is found below
            pass
        else:
            if type(flat) is not list:
                return [Command(flat.i, flat.m, flat.p)]
            if 1 <= len(flat) <= limits.BATCH:
                return [Command(one.i, one.m, one.p) for one in flat]
    try:
        findings, value = _read_json(payload) if text else _read_msgpack(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise BadFrame(str(error)) from error
    commands = value if isinstance(value, list) else [value]
    if not 1 <= len(commands) <= limits.BATCH:
        raise BadFrame(f"an array of {len(commands)} commands")
    return [_command(command, findings[at] if findings else None) for at, command in enumerate(commands)]


def decode_body(payload: bytes) -> dict[str, Any]:
    """A REST body: the `p` of one command, in JSON, under the rules of the twin. Raises Refused."""
    try:
        findings, value = _read_json(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Refused("bad_frame", "The body is not JSON.") from error
    if type(value) is not dict:
        raise Refused("bad_request", "The body must be a JSON object.")
    if findings and findings[0].refusal:
        raise Refused("bad_request", f"The body cannot be taken: {findings[0].refusal}.")
    return value


def refuse_shape(error: msgspec.ValidationError) -> Refused:
    """What msgspec found wrong, as a refusal that names the field."""
    text = str(error)
    path = _PATH.search(text)
    if path is None:
        return Refused("bad_request", text + ".", field=_missing(text))
    known, unknown, _ = path[1].partition("[...]")  # it is not told which key of a map
    field = _NESTED.sub(lambda found: f".{found[1]}", known)
    missing = None if unknown else _missing(text)
    return Refused("bad_request", text + ".", field=f"{field}.{missing}" if missing and field else missing or field or None)


def reply(i: int, r: dict[str, Any]) -> dict[str, Any]:
    """A reply frame."""
    return {"i": i, "r": r}


def error(i: int, refused: Refused, request_id: str) -> dict[str, Any]:
    """An error reply."""
    return {"i": i, "e": refused.to_wire(request_id)}


def _missing(text: str) -> str | None:
    found = re.match(r"Object missing required field `([^`]+)`", text)
    return found[1] if found else None


def _read_msgpack(payload: bytes) -> tuple[list[Finding], Any]:
    unusual = payload.translate(None, _HARMLESS)
    if len(unusual) <= limits.DEPTH and not unusual.translate(None, _SMALL_CONTAINERS):
        with suppress(msgspec.DecodeError):  # a key may be one that no dict can have: then it is found, and refused, below
            value = _unpack(payload)
            if _keyed_by_text(value):
                return [], value
    findings = scan(payload)  # what is refused is never built; the others are
    return findings, [None if finding.refusal else _unpack(payload[finding.begin : finding.end]) for finding in findings]


def _keyed_by_text(value: Any) -> bool:
    containers = [value]
    for container in containers:  # which grows by those inside
        if type(container) is dict:
            if any(type(key) is not str for key in container):
                return False
            containers += container.values()
        elif type(container) is list:
            containers += container
    return True


def _read_json(payload: bytes) -> tuple[list[Finding], Any]:
    value = _parse(payload)
    containers = payload.count(b"[") + payload.count(b"{")
    if containers <= limits.DEPTH and payload.count(b",") + containers <= limits.ITEMS and not _DIGITS.search(payload):
        return [], value
    commands = value if isinstance(value, list) else [value]
    return [_look(command) for command in commands], value


def _look(command: Any) -> Finding:
    """Depth, items and integers of one command of the JSON twin, already decoded."""
    refusal, items, level = "", 0, [command]
    for depth in range(limits.DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            inner += (value.values() if isinstance(value, dict) else value) if isinstance(value, dict | list) else ()
            if isinstance(value, int) and abs(value) > limits.LARGEST_INTEGER:
                refusal = "an integer is 2^53 or more"
        items += len(inner)
        if depth == limits.DEPTH and any(isinstance(value, dict | list) for value in level):
            refusal = f"it is nested deeper than {limits.DEPTH}"
        level = inner
    if items > limits.ITEMS:
        refusal = f"it holds more than {limits.ITEMS} items"
    i, m = (command.get("i", ABSENT), command.get("m")) if isinstance(command, dict) else (ABSENT, None)
    return Finding(refusal, i, m)


def _command(command: Any, finding: Finding | None) -> Command:
    if finding is not None and finding.refusal:
        i, m = _named(finding.i, finding.m)
        return Command(i, m, {}, Refused("bad_request", f"The command cannot be taken: {finding.refusal}."))
    if type(command) is not dict:
        raise BadFrame("something else than a map")
    i, m = _named(command.get("i", ABSENT), command.get("m"))
    p = command.get("p", {})
    if type(p) is not dict:
        return Command(i, m, {}, Refused("bad_request", "`p` must be a map.", field="p"))
    return Command(i, m, p)


def _named(i: Any, m: Any) -> tuple[int, str]:
    if type(m) is not str:
        raise BadFrame("no `m`")
    if i is ABSENT:
        return 0, m
    if type(i) is not int or not 1 <= i <= limits.LARGEST_REQUEST:
        raise BadFrame("a bad `i`")
    return i, m
