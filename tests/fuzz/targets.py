"""Every decoder as a function of bytes: it returns, whatever they are, or raises what no decoder may. `python -m tests.fuzz.guided` drives them.

Where there are two ways to the same result (a frame in one piece or in many, our codec and msgpack's), both are gone and must agree.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from zlib import crc32

import msgpack
from caas_sdk import codec

from protocol.codec import BadFrame, Command, decode_body, decode_commands
from protocol.errors import Refused
from protocol.ids import parse_act
from storage.ports.entry import decode_entry, encode_entry, intact, without_body
from storage.ports.errors import Damaged
from transport.pipe import Broken, frame_end, parsed
from transport.websocket import handshake
from transport.websocket.frames import BROKEN, CLOSE
from transport.websocket.reader import FrameReader

Target = Callable[[bytes], None]


def websocket_frames(data: bytes) -> None:
    """A client's frames; the first byte says in pieces of which size they come. Pieces change nothing of what is read."""
    size, wire = (data[0] if data else 0) + 1, data[1:]
    whole, pieces = FrameReader(4_096, 8), FrameReader(4_096, 8)
    at_once = whole.feed(wire)
    in_pieces = [event for at in range(0, len(wire), size) for event in pieces.feed(wire[at : at + size])]
    assert in_pieces == at_once, (at_once, in_pieces)
    assert all(opcode not in (CLOSE, BROKEN) for opcode, _ in at_once[:-1]), "it went on after its last word"
    assert all(len(payload) <= 4_096 for _, payload in at_once)


def handshakes(data: bytes) -> None:
    """The head of a request."""
    with suppress(handshake.Refused):
        accepted = handshake.upgrade(data)
        assert accepted.response.count(b"\r\n\r\n") == 1, "a header was smuggled into the response"
        assert b"\n" not in accepted.response.replace(b"\r\n", b"")
    head = handshake.whole_head(data, b"/ws")
    if head is not None:
        with suppress(handshake.Refused):
            assert len(head.checked()) <= handshake.MAX_HEAD


def msgpack_commands(data: bytes) -> None:
    """A client's commands; those that are taken are what msgpack's own library reads there."""
    try:
        commands = decode_commands(data, text=False)
    except BadFrame:
        return
    if all(command.refusal is None for command in commands):
        value = msgpack.unpackb(data, raw=False)  # which takes no keys but texts and bytes, and these are refused
        _same(commands, value)


def json_commands(data: bytes) -> None:
    """The same of the twin, and the body of a request."""
    with suppress(BadFrame):
        commands = decode_commands(data, text=True)
        if all(command.refusal is None for command in commands):
            _same(commands, json.loads(data))
    with suppress(BadFrame, Refused):
        assert isinstance(decode_body(data), dict)


def _same(commands: list[Command], value: object) -> None:
    said = value if isinstance(value, list) else [value]
    assert len(said) == len(commands)
    for command, one in zip(commands, said, strict=True):
        assert isinstance(one, dict)
        assert (command.i, command.m, command.p) == (one.get("i", 0), one["m"], one.get("p", {})), (command, one)


def entries(data: bytes) -> None:
    """An entry of the log. Its checksum is made right, for what lies behind it is to be reached."""
    assert not intact(data) or len(data) >= 11
    sealed = crc32(data).to_bytes(4, "big") + data
    for decode in (decode_entry, without_body):
        with suppress(Damaged):
            decode(sealed)
    with suppress(Damaged):
        entry = decode_entry(sealed)
        assert decode_entry(encode_entry(entry)) == entry
        assert decode_entry(without_body(sealed)).op == entry.op


def links(data: bytes) -> None:
    """What comes over a link between workers: frames of a length and an array."""
    view, start = memoryview(data), 0
    with suppress(Broken):
        while (end := frame_end(view, start)) <= len(view):
            assert parsed(view[start + 4 : end])
            assert end > start
            start = end


def sdk_frames(data: bytes) -> None:
    """What a server says, as the SDK reads it."""
    with suppress(ValueError):
        assert all(isinstance(frame, dict) for frame in codec.hear(data))


def acts(data: bytes) -> None:
    """Ids of acts."""
    op = parse_act(data.decode("latin-1"))
    assert op is None or len(op) == 16


def planted(data: bytes) -> None:
    """No decoder of ours: what a fuzz program must be able to find."""
    place = 0
    for byte, wanted in zip(data, b"caas!", strict=False):
        if byte != wanted:
            return
        place += 1
    if place == 5:
        raise RuntimeError("it fell over")


TARGETS: dict[str, Target] = {target.__name__: target for target in (
    websocket_frames, handshakes, msgpack_commands, json_commands, entries, links, sdk_frames, acts)}
