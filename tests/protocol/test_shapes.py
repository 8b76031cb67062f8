"""What the protocol describes: every push by its name, and what does not fit is found."""

import pytest

from protocol.events import EVENTS, Durable, Entry, Ephemeral, Personal
from protocol.replies import Done, Sent
from tests.fitting import misfit, misfit_push

AT = 1_700_000_000_000


def test_names_are_told_apart_by_what_they_are() -> None:
    assert {"message.new", "skip", "heads", "session.revoked", "read.moved"} <= EVENTS.keys()
    assert all(name == kind.__struct_config__.tag for name, kind in EVENTS.items())
    durable = {name for name, kind in EVENTS.items() if issubclass(kind, Durable | Personal)}
    assert durable | {"skip"} == {kind.__struct_config__.tag for kind in Entry.__args__}
    assert not durable & {name for name, kind in EVENTS.items() if issubclass(kind, Ephemeral)}


@pytest.mark.parametrize(("value", "shape", "finding"), [
    ({"seq": 1}, Done, ""),
    ({"seq": 1, "more": 2}, Done, "unknown field `more`"),
    ({}, Done, "required field `seq`"),
    ({"seq": 1.5}, Done, "Expected `int`"),
    ({"id": "x", "seq": 1, "sent_at": AT, "n": None}, Sent, "got `null`"),
])
def test_a_reply_that_does_not_fit_is_found(value: object, shape: type, finding: str) -> None:
    found = misfit(value, shape)
    assert finding in found
    assert bool(found) == bool(finding)


@pytest.mark.parametrize(("frame", "finding"), [
    ({"t": "message.deleted", "c": "g", "s": 3, "at": AT, "p": {"id": "x", "by": "alice"}}, ""),
    ({"t": "message.deleted", "c": "g", "at": AT, "p": {"id": "x"}}, "required field `s`"),
    ({"t": "typing.started", "c": "g", "s": 3, "p": {"user": "alice", "kind": "text"}}, "unknown field `s`"),
    ({"t": "read.moved", "c": "g", "s": 3, "at": AT, "p": {"conversations": {}}}, "Invalid enum value"),
    ({"t": "message.vanished", "c": "g"}, "no such push"),
])
def test_a_push_that_does_not_fit_is_found(frame: dict[str, object], finding: str) -> None:
    found = misfit_push(frame)
    assert finding in found
    assert bool(found) == bool(finding)
