"""The SDK has its own copies of the server's tables: they are the same."""

from caas_sdk import protocol as ours
from caas_sdk.errors import RETRYABLE
from caas_sdk.ids import id_time, make_id

from protocol import closing, limits
from protocol.errors import CODES
from protocol.ids import act_time, make_uuid7, parse_act, show_act


def test_errors() -> None:
    assert {code: row.retryable for code, row in CODES.items()} == RETRYABLE


def test_close_codes() -> None:
    assert {one.code: one.reason for one in closing.CLOSINGS} == ours.REASONS
    assert all(one.reconnect is not ours.closes_for_good(one.code) for one in closing.CLOSINGS)


def test_limits() -> None:
    assert ours.LIMITS == limits.LIMITS


def test_ids() -> None:
    made = make_id(1_700_000_000_123, bytes(range(10)))
    assert made == show_act(make_uuid7(1_700_000_000_123, bytes(range(10))))
    raw = parse_act(made)
    assert raw is not None
    assert id_time(made) == act_time(raw) == 1_700_000_000_123


def test_aliases() -> None:
    names = {"message:send": "message.send", "message:new": "message.new", "message:read": "message.read", "typing:start": "typing.start",
             "typing:stop": "typing.stop", "typing:stopped": "typing.stopped", "message": "message.new", "presence.watch": "presence.watch"}
    assert {name: ours.canonical(name) for name in names} == names
