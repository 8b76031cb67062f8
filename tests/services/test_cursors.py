"""Cursors: the server's own come back as they were; whatever else is refused, whoever made it up."""

import base64

import msgspec
import pytest
from msgspec import UNSET

from protocol.errors import Refused
from services.conversations.rules import make_cursor, read_cursor


def test_what_the_server_gave_comes_back() -> None:
    assert read_cursor(make_cursor(7, "lobby"), tuple[int, str]) == (7, "lobby")
    assert read_cursor(UNSET, tuple[int]) is None


@pytest.mark.parametrize("cursor", ["", "x", "!", "é", make_cursor("text"), make_cursor(1, 2), make_cursor(2**53), make_cursor(-(2**63)),
                                    base64.urlsafe_b64encode(msgspec.msgpack.encode({"a": 1})).decode(), make_cursor(2**64 - 1)])
def test_what_it_never_gave_is_refused(cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        read_cursor(cursor, tuple[int])
    assert (refused.value.code, refused.value.field) == ("bad_request", "cursor")
