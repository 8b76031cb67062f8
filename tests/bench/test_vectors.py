"""The generator's parser, histogram, order and markers, against what others make of the same bytes and numbers."""

import json
from collections.abc import Callable

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from wsproto.frame_protocol import FrameProtocol, Opcode

from bench.generate import LONGEST_US, histogram

Ask = Callable[[str], str]
quickly = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def frame(opcode: int, payload: bytes, last: bool = True) -> bytes:
    return bytes(FrameProtocol(client=False, extensions=[])._serialize_frame(Opcode(opcode), payload, fin=last))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 30_000])
def test_frames_of_wsproto_are_read_as_they_were_written(vectors: Ask, size: int) -> None:
    sent = frame(2, bytes(size)) + frame(9, b"ping") + frame(1, b"text", last=False) + frame(0, b"more")
    assert vectors("frames " + sent.hex()) == f"2:1:{size} 9:1:4 1:0:4 0:1:4 left 0"


def test_a_frame_of_64_bits_of_length_is_read_when_it_is_all_there(vectors: Ask) -> None:
    head = b"\x82\x7f" + (65_536).to_bytes(8, "big")
    assert vectors("frames " + head.hex()) == f"left {len(head)}"


@given(cut=some.integers(0, 200), size=some.integers(0, 300))
@quickly
def test_what_is_not_all_there_is_left(vectors: Ask, cut: int, size: int) -> None:
    sent = frame(2, bytes(size))
    part = sent[:cut]
    assert vectors("frames " + part.hex()) == (f"2:1:{size} left 0" if len(part) == len(sent) else f"left {len(part)}")


@pytest.mark.parametrize(("said", "why"), [
    ("828141414141", "a mask"), ("c20161", "an extension"), ("830161", "an opcode that is none"), ("8b00", "another"),
    ("0900", "a ping in parts"), ("897e0080", "a ping of 128 bytes"), ("827e0005", "a long form of a short length"),
    ("827f000000000000ffff", "the same"), ("827fffffffffffffffff", "a length beyond all"),
])
def test_what_no_server_may_send_is_broken(vectors: Ask, said: str, why: str) -> None:
    assert vectors("frames " + said) == "broken", why


@given(some.lists(some.integers(0, LONGEST_US), min_size=1, max_size=60))
@quickly
def test_times_fall_into_the_cells_of_every_hdr_histogram(vectors: Ask, times: list[int]) -> None:
    theirs = HdrHistogram(1, LONGEST_US, 3)
    for time in times:
        theirs.record_value(max(time, 1))
    ours = histogram(json.loads(vectors("histogram " + " ".join(map(str, times)))))
    for percentile in (0, 10, 50, 90, 99, 99.9, 100):
        assert ours.get_value_at_percentile(percentile) == theirs.get_value_at_percentile(percentile)
    assert ours.get_total_count() == len(times)


@pytest.mark.parametrize(("numbers", "told"), [
    ("0 1 2 3", "0 0 0 4"), ("1 2 3", "1 0 0 3"), ("0 1 3 4", "1 0 0 4"), ("0 1 1 2", "0 1 0 3"), ("0 0 0", "0 2 0 1"),
    ("0 2 1 3", "0 0 1 4"), ("0 3 1 1 2", "0 1 2 4"), ("0 100", "99 0 0 2"), ("0 64 0 1", "62 1 1 3"), ("0 200 10", "199 1 0 2"),
])
def test_gaps_doubles_and_disorder_are_told_apart(vectors: Ask, numbers: str, told: str) -> None:
    assert vectors("order " + numbers) == told


@given(some.lists(some.tuples(some.integers(0, 2**24 - 1), some.integers(0, 2**32 - 1), some.integers(0, 2**62)), max_size=5),
       some.lists(some.binary(max_size=40).filter(lambda between: b"~" not in between), min_size=6, max_size=6))
@quickly
def test_markers_are_found_wherever_they_stand(vectors: Ask, markers: list[tuple[int, int, int]], between: list[bytes]) -> None:
    said = between[0] + b"".join(f"~b1~{stream:06x}{number:08x}{at:016x}".encode() + rest
                                 for (stream, number, at), rest in zip(markers, between[1:], strict=False))
    assert vectors("markers " + said.hex()) == " ".join(f"{stream}:{number}:{at}" for stream, number, at in markers)
