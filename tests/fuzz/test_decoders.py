"""Whatever bytes come, each decoder gives a value or its own error, and never anything else; frames that are damaged are never taken for whole."""

import os
import struct
from contextlib import suppress

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.codec import BadFrame, Command, decode_body, decode_commands
from protocol.errors import Refused
from protocol.ids import parse_act
from services.catalogue import KINDS
from services.deciding import Fold
from services.kinds import parts_of
from storage.ports.entry import Entry, Place, decode_entry, encode_entry, intact, without_body
from storage.ports.errors import Damaged
from transport.websocket import handshake

MANY = settings(max_examples=int(os.environ.get("CAAS_EXAMPLES", "400")), deadline=None, suppress_health_check=[HealthCheck.too_slow])
PACKED = msgspec.msgpack.Encoder().encode
PARTS = parts_of(KINDS)

leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=20)
commands = st.fixed_dictionaries({}, optional={"i": leaves, "m": leaves | st.sampled_from(["message.send", "hello"]), "p": values, "x": values})
mutations = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)


def mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for at, byte in changes:
        if changed:
            changed[at % len(changed)] = byte
    return bytes(changed)


def decoded(payload: bytes, *, text: bool) -> None:
    try:
        found = decode_commands(payload, text=text)
    except BadFrame:
        return
    assert all(isinstance(command, Command) for command in found)


@MANY
@given(st.binary(max_size=300), st.booleans())
def test_frames_of_any_bytes(payload: bytes, text: bool) -> None:
    decoded(payload, text=text)


@MANY
@given(commands | st.lists(commands, max_size=4), mutations)
def test_frames_that_are_almost_right(said: object, changes: list[tuple[int, int]]) -> None:
    decoded(mutated(PACKED(said), changes), text=False)
    with suppress(ValueError, OverflowError, msgspec.MsgspecError):
        decoded(mutated(msgspec.json.encode(said), changes), text=True)


def test_bombs_of_msgpack_are_refused_at_once() -> None:
    """Containers that claim four thousand million members, and ten thousand that are nested."""
    for bomb in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 10_000 + b"\xc0",
                 b"\x81\xa1a" * 10_000 + b"\xc0", b"\xdd" + struct.pack(">I", 2**31) * 5):
        decoded(bomb, text=False)
    decoded(b"[" * 10_000 + b"]" * 10_000, text=True)
    decoded(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, text=True)


@MANY
@given(st.binary(max_size=200) | values.map(lambda value: msgspec.json.encode(value) if _is_json(value) else b"?"))
def test_bodies_of_requests(payload: bytes) -> None:
    with suppress(BadFrame, Refused):
        assert isinstance(decode_body(payload), dict)


def _is_json(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return False
    return True


@MANY
@given(st.binary(max_size=200))
def test_entries_of_any_bytes(data: bytes) -> None:
    for decode in (decode_entry, without_body):
        with suppress(Damaged):
            decode(data)
    assert intact(data) in (True, False)


ENTRY = encode_entry(Entry(1, "message.new", "t", "c", "alice", bytes(16), 7, 1_700_000_000_000, ("n", 1, 2), b"h" * 16, "key", {"mentions": []},
                           b"body" * 10))


@MANY
@given(st.integers(0, len(ENTRY) * 8 - 1))
def test_an_entry_with_a_flipped_bit_is_never_taken_for_whole(bit: int) -> None:
    data = bytearray(ENTRY)
    data[bit // 8] ^= 1 << bit % 8
    assert not intact(bytes(data))


@MANY
@given(st.sampled_from(sorted(KINDS)),
       st.dictionaries(st.text(max_size=10) | st.sampled_from(["users", "user", "role", "id", "removes"]), values, max_size=5))
def test_the_fold_decides_whatever_an_entry_says(kind: str, facts: dict[str, object]) -> None:
    fold = Fold(PARTS)
    entry = Entry(1, kind, "t", "c", "alice", bytes(16), 0, 1_700_000_000_000, ("n", 1, 2), b"h" * 16, "", facts, b"")
    assert fold.apply(entry, Place(1, 1)).what in ("ok", "refused")
    assert fold.apply(entry, Place(1, 2)).what in ("ok", "duplicate", "refused")


@MANY
@given(st.binary(max_size=400), mutations)
def test_handshakes(noise: bytes, changes: list[tuple[int, int]]) -> None:
    head = (b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: caas.v1\r\n\r\n")
    for data in (noise, mutated(head, changes)):
        with suppress(handshake.Refused):
            handshake.upgrade(data)


@MANY
@given(st.text(max_size=60))
def test_ids(text: str) -> None:
    op = parse_act(text)
    assert op is None or len(op) == 16
