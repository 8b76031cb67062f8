"""The constants of the wire: limits, close codes, the clocks of a client, and the names that mean the same."""

from caas_sdk.wire import BAD_FRAME as BAD_FRAME
from caas_sdk.wire import GOING_AWAY as GOING_AWAY
from caas_sdk.wire import LIMITS as LIMITS
from caas_sdk.wire import NO_HELLO as NO_HELLO
from caas_sdk.wire import PROTOCOL as PROTOCOL
from caas_sdk.wire import REASONS as REASONS
from caas_sdk.wire import REVOKED as REVOKED
from caas_sdk.wire import SLOW as SLOW
from caas_sdk.wire import TOKEN_EXPIRED as TOKEN_EXPIRED
from caas_sdk.wire import TOKEN_INVALID as TOKEN_INVALID
from caas_sdk.wire import TOO_MANY as TOO_MANY

SUBPROTOCOL = "caas.v1"
SDK = "caas-sdk-python/0.1.0"

LARGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes of a frame from the server."""
PRESENCE_WATCHED = 100
"""Users in one `presence.watch`."""

MESSAGE_TOO_BIG = 1009
DIAL_WITHIN_S = 10.0
"""For the socket to open, and again for `hello` to be answered."""
SILENCE_S = 60.0
"""Without a frame (the server speaks every 25 s), a connection is taken for dead."""
ANSWER_SILENCE_S = 20.0
"""The same, while a command is unanswered: the server answers every command within 10 s."""
BACKOFF_LEAST_S, BACKOFF_MOST_S = 0.25, 30.0
STABLE_S = 60.0
"""A connection that lasted so long lets the next wait begin small again."""
TYPING_EVERY_S = 1.0
"""At most one `typing.start` in so long."""
TYPING_REPEAT_S = 3.0
TYPING_PAUSE_S = 3.0
"""Without a key for so long, one has stopped typing."""
TYPING_GONE_S = 6.0
"""Another's typing is gone after so long without a repeat."""
ACK_EVERY_S = 1.0
"""`message.delivered` and `message.read` are gathered for so long."""
REFRESH_BEFORE_MS = 60_000
"""A token is refreshed in place so long before it expires."""
CLOCK_TOLERANCE_MS = 30_000
"""An id made before the server's time was known, and this far from it, is made anew before it is first sent."""
HEADS_GRACE_S = 2.0
"""How long pushes may lag behind a head that was told before they are asked for."""

_ALIASES = {
    "message": "message.new", "message:send": "message.send", "message:new": "message.new", "message:read": "message.read",
    "typing:start": "typing.start", "typing:stop": "typing.stop", "typing:stopped": "typing.stopped",
}


def canonical(name: str) -> str:
    """The wire's name of a command or event: `message:new` and `message` are `message.new`."""
    return _ALIASES.get(name) or name.replace(":", ".")


def closes_for_good(code: int) -> bool:
    """Whether a close code says not to connect again."""
    return 4500 <= code <= 4999
