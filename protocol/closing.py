"""The close codes: 4000-4499 mean "connect again", 4500-4999 mean "do not"."""

from typing import NamedTuple


class Closing(NamedTuple):
    """A close frame: code and reason."""

    code: int
    reason: str

    @property
    def reconnect(self) -> bool:
        """Whether a client should connect again by itself."""
        return self.code < 4500


GOING_AWAY = Closing(4400, "going_away")
TOKEN_EXPIRED = Closing(4401, "token_expired")
SLOW = Closing(4408, "slow")
TOO_MANY = Closing(4429, "too_many")
BAD_FRAME = Closing(4500, "bad_frame")
NO_HELLO = Closing(4501, "no_hello")
TOKEN_INVALID = Closing(4502, "token_invalid")
REVOKED = Closing(4503, "revoked")
PROTOCOL = Closing(4504, "protocol")

CLOSINGS = (GOING_AWAY, TOKEN_EXPIRED, SLOW, TOO_MANY, BAD_FRAME, NO_HELLO, TOKEN_INVALID, REVOKED, PROTOCOL)
