"""What a frame may hold, in both subprotocols."""

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as some

from protocol.codec import BadFrame, Command, decode_commands, pack
from protocol.ids import act_time, is_chosen_id, is_user_id, joined, make_uuid7, parse_act, show_act

PLAIN = {"i": 7, "m": "message.send", "p": {"c": "c", "text": "schön"}}

KEYS_THAT_ARE_NO_TEXT = (b"\x05", b"\xc0", b"\xc3", b"\x90", b"\x91\xa1a", b"\x80", b"\x91\x80", b"\xcb" + b"\0" * 8, b"\xc4\x01a")


def nested(depth: int) -> bytes:
    return b"\x83\xa1i\x07\xa1m\xa1x\xa1p" + b"\x81\xa1a" * (depth - 2) + b"\x80"


def test_a_command_and_a_batch() -> None:
    for payload, text in ((pack(PLAIN), False), (json.dumps(PLAIN).encode(), True)):
        assert decode_commands(payload, text=text) == [Command(7, "message.send", PLAIN["p"])]
    assert len(decode_commands(pack([PLAIN] * 64), text=False)) == 64


@pytest.mark.parametrize("payload", [b"", b"\xc1", pack(PLAIN)[:-1], pack(PLAIN) + b"\x01", pack([]), pack([PLAIN] * 65), pack(1), pack([1]),
                                     pack({"i": 1}), pack({"i": True, "m": "x"}), pack({"i": 0, "m": "x"}), pack({"i": 2**32, "m": "x"}),
                                     pack({"i": 1.0, "m": "x"}), b"\x82\xa1i\x07\xa1m\xa2\xff\xfe", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"])
def test_what_is_no_frame(payload: bytes) -> None:
    with pytest.raises(BadFrame):
        decode_commands(payload, text=False)


@pytest.mark.parametrize(("payload", "refused"), [
    (nested(16), False), (nested(17), True), (nested(900), True),
    (pack({"i": 7, "m": "x", "p": {"a": [0] * 4_092}}), False), (pack({"i": 7, "m": "x", "p": {"a": [0] * 4_093}}), True),
    (pack({"i": 7, "m": "x", "p": {"a": 2**53 - 1}}), False), (pack({"i": 7, "m": "x", "p": {"a": 2**53}}), True),
    (pack({"i": 7, "m": "x", "p": {"a": -(2**53)}}), True), (pack({"i": 7, "m": "x", "p": {"a": 2**63}}), True),
    (pack({"i": 7, "m": "x", "p": {"a": b"bytes"}}), True), (msgpack.packb({"i": 7, "m": "x", "p": {"a": msgpack.ExtType(1, b"x")}}), True),
    (pack({"i": 7, "m": "x", "p": [1]}), True), (pack({"i": 7, "m": "x", "p": {"a": 1.5, "b": [-0.0, 1e300]}}), False),
    *((pack({"i": 7, "m": "x", "p": {"custom": {"a": [value]}}}), True) for value in (float("nan"), float("inf"), float("-inf"))),
    *((b"\x84\xa1i\x07\xa1m\xa1x\xa1p" + p + b"\xa1q" + q, True) for key in KEYS_THAT_ARE_NO_TEXT for p, q in (
        (b"\x81" + key + b"\x01", b"\x01"), (b"\x81\xa1a\x81" + key + b"\x01", b"\x01"), (b"\x81\xa1a\x91\x81" + key + b"\x01", b"\x01"),
        (b"\x80", b"\x81" + key + b"\x01"), (b"\x81\xa1a\xcb" + b"\0" * 8, b"\x81" + key + b"\x01"))),
    (b"\x83\xa1i\x07\xa1m\xa1x\xa1p\x81\xa1a\xca\x7f\xc0\x00\x00", True), (b"\x83\xa1i\x07\xa1m\xa1x\xa1p\x81\xa1a\xca\x3f\x80\x00\x00", False),
])
def test_what_is_decodable_is_answered(payload: bytes, refused: bool) -> None:
    [command] = decode_commands(payload, text=False)
    assert (command.i, command.refusal is not None) == (7, refused)
    assert command.refusal is None or command.refusal.code == "bad_request"


@pytest.mark.parametrize(("p", "refused"), [({"a": 2**53}, True), ({"a": 2**53 - 1}, False), ({"a": [0] * 4_093}, True), ({"a": "x" * 5_000}, False)])
def test_the_twin_is_as_strict(p: Any, refused: bool) -> None:
    [command] = decode_commands(json.dumps({"i": 7, "m": "x", "p": p}).encode(), text=True)
    assert (command.refusal is not None) == refused


def test_one_command_too_wide_does_not_touch_the_others() -> None:
    wide, plain = {"i": 1, "m": "x", "p": {"a": [0] * 5_000}}, {"i": 2, "m": "y", "p": {}}
    for payload, text in ((pack([wide, plain]), False), (json.dumps([wide, plain]).encode(), True)):
        one, other = decode_commands(payload, text=text)
        assert one.refusal is not None
        assert other == Command(2, "y", {})


@given(payload=some.binary(max_size=300), text=some.booleans())
def test_any_bytes_are_a_frame_or_not(payload: bytes, text: bool) -> None:
    try:
        assert all(command.m is not None for command in decode_commands(payload, text=text))
    except BadFrame:
        return


VALUES = some.recursive(some.none() | some.booleans() | some.integers(-(2**53) + 1, 2**53 - 1) | some.text(max_size=8)
                        | some.floats(allow_nan=False, allow_infinity=False),
                        lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=4), inner, max_size=4), max_leaves=12)


@given(p=some.dictionaries(some.text(max_size=5), VALUES, max_size=5))
def test_both_libraries_write_the_same_command(p: dict[str, Any]) -> None:
    command = {"i": 7, "m": "x", "p": p}
    assert decode_commands(msgpack.packb(command), text=False) == decode_commands(pack(command), text=False) == [Command(7, "x", p)]


@given(now=some.integers(0, 2**48 - 1), chance=some.binary(min_size=10, max_size=10))
def test_an_act_is_a_uuid_of_version_7(now: int, chance: bytes) -> None:
    op = make_uuid7(now, chance)
    assert (op[6] >> 4, op[8] >> 6, act_time(op), parse_act(show_act(op))) == (7, 2, now, op)


@given(one=some.lists(some.text(max_size=4), max_size=4), other=some.lists(some.text(max_size=4), max_size=4))
def test_joined_parts_never_collide(one: list[str], other: list[str]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)


@pytest.mark.parametrize(("text", "possible"), [("alice", True), ("a@b.c:d+e-f_g", True), ("", False), ("me", False), (".", False), ("..", False),
                                                ("a/b", False), ("a b", False), ("é", False), ("~x", False), ("x" * 128, True), ("x" * 129, False),
                                                ("a\n", False), ("a\x00", False)])
def test_names_that_people_may_choose(text: str, possible: bool) -> None:
    assert is_user_id(text) == is_chosen_id(text) == possible
