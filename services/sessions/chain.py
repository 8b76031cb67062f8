"""Refresh tokens. Pure: each is made of the one before, so an old one can be told from one that never was.

    caas_rt.{tenant}.{session}.{how often refreshed}.{256 bits}

The first is random. Its successor is a keyed hash of it, so the same old token gives the same new one (what the 10 s of grace
need), and only a hash of the newest is kept. Whoever shows a token from which the newest follows once held a real one.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b, sha256
from hmac import compare_digest
from typing import Final, NamedTuple

from protocol.ids import joined

_SHAPE = re.compile(r"caas_rt\.([A-Za-z0-9_\-]{1,64})\.([a-z0-9]{1,64})\.([0-9]{1,9})\.([A-Za-z0-9_\-]{43})\Z")
_LOOKED_BACK: Final = 1_000
"""An older token than this is refused without proof of theft: proving takes a hash for each refresh since."""


class RefreshToken(NamedTuple):
    """One refresh token, taken apart."""

    tenant: str
    session: str
    number: int
    secret: bytes

    def text(self) -> str:
        """As the client keeps it."""
        secret = urlsafe_b64encode(self.secret).rstrip(b"=").decode()
        return f"caas_rt.{self.tenant}.{self.session}.{self.number}.{secret}"

    def hashed(self) -> bytes:
        """As the server keeps it."""
        return sha256(self.secret).digest()

    def next(self, key: bytes) -> "RefreshToken":
        """Its successor, under a key of the application."""
        secret = blake2b(self.secret + joined(self.session, str(self.number)), key=key, digest_size=32).digest()
        return self._replace(number=self.number + 1, secret=secret)

    def leads_to(self, number: int, hashed: bytes, key: bytes) -> bool:
        """Whether the token with this number and hash follows from it, at once or later."""
        token = self
        if not token.number <= number <= token.number + _LOOKED_BACK:
            return False
        while token.number < number:
            token = token.next(key)
        return compare_digest(token.hashed(), hashed)


def parse_refresh(text: str) -> RefreshToken | None:
    """The token of this text, or None when it cannot be one."""
    found = _SHAPE.match(text)
    if found is None:
        return None
    return RefreshToken(found[1], found[2], int(found[3]), urlsafe_b64decode(found[4] + "="))
