import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection as Reference
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from transport.websocket.frames import BINARY, BROKEN, CLOSE, CONTINUATION, PING, PONG, TEXT, close_code, close_payload, frame, payloads, unmask
from transport.websocket.reader import FrameReader

KEY = b"\xa1\x00\xff\x37"


def masked(opcode, payload, *, fin=True, rsv=0):
    plain = frame(opcode, payload)
    header = plain[: len(plain) - len(payload)]
    return bytes(((0x80 if fin else 0) | rsv | opcode, header[1] | 0x80)) + header[2:] + KEY + unmask(payload, KEY)


def read(wire, sizes=(), **limits):
    """All events, with the bytes cut into pieces of these sizes and the rest."""
    reader, events, at = FrameReader(**limits), [], 0
    for size in [*sizes, len(wire)]:
        events += reader.feed(wire[at : at + size])
        at += size
    return events


def broken(events):
    assert events[-1][0] == BROKEN
    return close_code(events[-1][1])


texts = st.text(max_size=200).map(lambda text: (TEXT, text.encode()))
binaries = st.binary(max_size=400).map(lambda data: (BINARY, data))
controls = st.tuples(st.sampled_from((PING, PONG)), st.binary(max_size=125))


@st.composite
def fragmented(draw):
    """A message as frames, perhaps with control frames between them; and the events it must give."""
    opcode, payload = draw(texts | binaries)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    pieces = [payload[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    wire, events = b"", []
    for place, piece in enumerate(pieces):
        wire += masked(opcode if place == 0 else CONTINUATION, piece, fin=place == len(pieces) - 1)
        if place < len(pieces) - 1 and draw(st.booleans()):
            between = draw(controls)
            wire += masked(*between)
            events.append(between)
    return wire, [*events, (opcode, payload)]


whole = (texts | binaries | controls).map(lambda event: (masked(*event), [event]))
streams = st.lists(whole | fragmented(), max_size=8).map(
    lambda parts: (b"".join(wire for wire, _ in parts), [e for _, events in parts for e in events])
)


@given(streams, st.lists(st.integers(0, 40), max_size=60))
def test_any_split_gives_the_same_events(stream, sizes):
    wire, events = stream
    assert read(wire) == read(wire, sizes) == read(wire, [1] * len(wire)) == events


@given(st.binary(max_size=300), st.lists(st.integers(1, 20), max_size=40))
def test_garbage_is_judged_the_same_however_it_is_split(wire, sizes):
    assert read(wire, sizes, max_message=1000) == read(wire, max_message=1000) == read(wire, [1] * len(wire), max_message=1000)


@given(streams, st.binary(max_size=60), st.lists(st.integers(1, 30), max_size=60))
def test_garbage_behind_good_frames_too(stream, garbage, sizes):
    wire = stream[0] + garbage
    assert read(wire, sizes) == read(wire) == read(wire, [1] * len(wire))


@given(st.lists(texts | binaries | controls, max_size=6))
@settings(deadline=None)
def test_what_wsproto_sends_we_read(messages):
    client = Reference(ConnectionType.CLIENT)
    kinds = {TEXT: lambda data: TextMessage(data.decode()), BINARY: BytesMessage, PING: Ping, PONG: Pong}
    wire = b"".join(client.send(kinds[opcode](payload)) for opcode, payload in messages)
    assert read(wire + client.send(CloseConnection(1000, "bye"))) == [*messages, (CLOSE, close_payload(1000, "bye"))]


@given(st.lists(st.tuples(st.sampled_from((TEXT, BINARY)), st.sampled_from((0, 1, 125, 126, 65_535, 65_536, 70_000))), max_size=4))
@settings(deadline=None)
def test_what_we_send_wsproto_reads(messages):
    client = Reference(ConnectionType.CLIENT)
    for opcode, size in messages:
        client.receive_data(frame(opcode, b"x" * size))
    got = ["".join(e.data) if isinstance(e, TextMessage) else bytes(e.data) for e in client.events()]
    assert got == ["x" * size if opcode == TEXT else b"x" * size for opcode, size in messages]


@given(st.binary(max_size=1000), st.binary(min_size=4, max_size=4))
def test_unmask_is_xor(data, key):
    assert unmask(data, key) == bytes(byte ^ key[place % 4] for place, byte in enumerate(data))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_every_length_form(opcode, size):
    assert read(masked(opcode, b"a" * size), max_message=100_000) == [(opcode, b"a" * size)]


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(TEXT, b"hello"), 1002),  # unmasked
        (masked(TEXT, b"a", rsv=0x40), 1002),
        (masked(BINARY, b"a", rsv=0x10), 1002),
        (bytes((0x83, 0x80)) + KEY, 1002),
        (bytes((0x8B, 0x80)) + KEY, 1002),
        (masked(PING, b"", fin=False), 1002),
        (bytes((0x89, 0xFE)), 1002),  # a ping of more than 125 bytes, known from its second byte
        (masked(CONTINUATION, b"a"), 1002),
        (masked(TEXT, b"a", fin=False) + masked(TEXT, b"b"), 1002),
        (masked(CLOSE, b"\x03"), 1002),
        (masked(CLOSE, struct.pack("!H", 1005)), 1002),
        (masked(CLOSE, struct.pack("!H", 999)), 1002),
        (masked(CLOSE, struct.pack("!H", 2999)), 1002),
        (masked(CLOSE, struct.pack("!H", 5000)), 1002),
        (masked(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
        (masked(TEXT, b"\xff"), 1007),
        (masked(TEXT, b"\xe2\x82"), 1007),  # ends inside a character
        (masked(TEXT, b"\xed\xa0\x80"), 1007),  # a surrogate
        (bytes((0x82, 0xFE, 0, 125)) + KEY + bytes(125), 1002),  # not the shortest form
        (bytes((0x82, 0xFF)) + struct.pack("!Q", 65_535) + KEY, 1002),
        (bytes((0x82, 0xFF)) + struct.pack("!Q", 1 << 63) + KEY, 1002),
    ],
)
def test_violations(wire, code):
    assert broken(read(wire)) == broken(read(wire, [1] * len(wire))) == code


def test_nothing_is_heard_after_the_last_word():
    reader = FrameReader()
    assert [opcode for opcode, _ in reader.feed(masked(CLOSE, b"") + masked(TEXT, b"late"))] == [CLOSE]
    assert reader.feed(masked(TEXT, b"later")) == []
    reader = FrameReader()
    assert [opcode for opcode, _ in reader.feed(masked(TEXT, b"ok") + b"\xff\xff" + masked(TEXT, b"late"))] == [TEXT, BROKEN]
    assert reader.feed(masked(TEXT, b"later")) == []


def test_size_is_refused_at_the_header_before_a_byte_of_it():
    header = bytes((0x82, 0xFF)) + struct.pack("!Q", 1 << 62)
    assert broken(read(header)) == 1009


def test_size_of_all_fragments_together():
    half = masked(BINARY, bytes(600), fin=False)
    assert read(half + masked(CONTINUATION, bytes(400)), max_message=1000) == [(BINARY, bytes(1000))]
    assert broken(read(half + masked(CONTINUATION, bytes(401))[:4], max_message=1000)) == 1009


def test_a_short_message_may_be_too_large_too():
    assert broken(read(masked(BINARY, bytes(101)), max_message=100)) == 1009


def test_fragments_have_a_budget():
    start = masked(TEXT, b"", fin=False)
    more = masked(CONTINUATION, b"", fin=False)
    assert read(start + more * 30 + masked(CONTINUATION, b"end")) == [(TEXT, b"end")]
    assert broken(read(start + more * 31 + masked(CONTINUATION, b"end"))) == 1009


def test_bad_text_is_refused_before_the_rest_of_it_comes():
    reader = FrameReader()
    wire = masked(TEXT, b"good \xf4\x90 and much more")
    assert reader.feed(wire[:11]) == []
    assert broken(reader.feed(wire[11:14])) == 1007  # f4 90 can begin no character


def test_attention_is_only_asked_for_when_something_else_than_messages_came():
    reader = FrameReader()
    reader.feed(masked(TEXT, b"a") + masked(BINARY, bytes(300)))
    assert not reader.attention
    reader.feed(masked(PING, b""))
    assert reader.attention


def test_a_reason_too_long_is_cut_to_fit_a_control_frame():
    assert len(close_payload(4400, "x" * 200)) == 125
    assert close_payload(1005) == b""


@given(st.lists(st.sampled_from((0, 1, 125, 126, 127, 65_535, 65_536)), max_size=6))
def test_whole_frames_give_back_what_they_were_made_of(sizes):
    said = [bytes([number]) * size for number, size in enumerate(sizes)]
    assert list(payloads(b"".join(frame(BINARY, payload) for payload in said))) == said
