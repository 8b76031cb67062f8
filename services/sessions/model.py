"""What is said and kept of sessions."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from services.scope import Scope
from services.users.model import Profile

TOKEN_MS: Final = 15 * 60_000
"""How long a user token is valid."""
SESSION_MS: Final = 7 * 24 * 3_600_000
"""How long a session can be refreshed, from when it was made."""
GRACE_MS: Final = 10_000
"""A refresh token used again so soon is no theft. Under the same `Idempotency-Key` it gets the same answer, which may have been lost."""
LONGEST_SIGNED_MS: Final = 24 * 3_600_000
"""How long a token that a company signed by itself may be valid."""
AHEAD_MS: Final = 60_000
"""A token from so far in the future is taken: clocks of servers differ."""
LONGEST_TOKEN: Final = 4_096


class CreateSession(msgspec.Struct, frozen=True):
    """`POST /sessions/create`."""

    user: Profile


class RefreshSession(msgspec.Struct, frozen=True):
    """`POST /sessions/refresh`."""

    refresh_token: str


class Authenticated(NamedTuple):
    """Who a token speaks for, and until when."""

    scope: Scope
    expires_at: int
    """Milliseconds since 1970."""


class Ending(NamedTuple):
    """What counts no more, as workers tell each other. Lists travel; so everything here is plain."""

    tenant: str
    reason: str
    sessions: Sequence[str] = ()
    """These sessions."""
    user: str = ""
    """What this user (internal id) had been given by then."""
    until_ms: int = 0
    look: bool = False
    """Something else of this tenant, its keys or everybody's tokens: look again at all that is connected."""


class Session(msgspec.Struct, frozen=True):
    """A session as stored. Ending one deletes it, and a document once deleted does not come back: what is not there is over."""

    user: str
    """Internal id."""
    external: str
    created_at: int
    number: int
    """How often it has been refreshed."""
    refresh: bytes
    """SHA-256 of the refresh token that is valid now."""
    refreshed_at: int
    asked: bytes = b""
    """SHA-256 of the `Idempotency-Key` that the last refresh was asked for under."""


class Claims(NamedTuple):
    """What a user token says."""

    tenant: str
    user: str
    external: str
    session: str
    from_ms: int
    until_ms: int
