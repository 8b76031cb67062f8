"""The connection's states, as the specification draws them:

    disconnected -> connecting -> connected -> reconnecting -> connected
                    connecting -> auth_failed -> (connect again) -> disconnected -> connecting
                    reconnecting -> disconnected (tries are used up, or the server said not to come again)

Each change gives back the step that the client takes next. Pure: time and chance are handed in.
"""

import base64
import binascii
import json
from collections.abc import Callable
from enum import Enum
from typing import Literal

from caas_sdk import protocol
from caas_sdk.errors import CaasError

State = Literal["disconnected", "connecting", "connected", "auth_failed", "reconnecting"]


_NEARLY_MS = 10_000
"""A token with less time left than this is not used to connect."""


class Step(Enum):
    """What is to be done next."""

    NOTHING = "nothing"
    ASK_TOKEN = "ask_token"  # noqa: S105 - a step's name
    DIAL = "dial"
    GREET = "greet"
    HANG_UP = "hang_up"
    """Close the socket that is there; what comes next is decided already."""


class Connection:
    """One client's connection, through all its sockets."""

    def __init__(self, chance: Callable[[], float], retries: int | None) -> None:
        self._chance, self._retries = chance, retries
        self.state: State = "disconnected"
        self.reason = ""
        self.changes: list[tuple[State, str, float | None]] = []
        """States entered since somebody looked, why, and how long until the next try."""
        self.token = ""
        self.token_expires_at = 0
        """Ms by the server's clock; 0 when the token does not say."""
        self.socket = 0
        """The number of the socket that counts; what older ones tell is ignored."""
        self.wait_until: float | None = None
        """When the next try begins."""
        self.deadline: float | None = None
        """When what is under way has taken too long."""
        self._waits = self._tries = self._stale_tokens = 0
        self._up_since: float | None = None
        self._wants_token = False

    @property
    def up(self) -> bool:
        """Whether commands can be sent."""
        return self.state == "connected"

    def connect(self, now: float, server_ms: int) -> Step:
        """Begin, or begin again. Nothing happens while it is under way."""
        if self.state == "auth_failed":
            self.token = ""
            self._enter("disconnected", "retry")
        if self.state != "disconnected":
            return Step.NOTHING
        self._enter("connecting", "")
        self._waits = self._tries = self._stale_tokens = 0
        return self._begin(now, server_ms)

    def use_token(self, token: str, now: float) -> Step:
        """A token has been given."""
        self.set_token(token)
        return self._dial(now) if self._wants_token else Step.NOTHING

    def set_token(self, token: str, expires_at: int | None = None) -> None:
        """Remember the token for the next time."""
        self.token = token
        self.token_expires_at = token_expiry(token) if expires_at is None else expires_at

    def opened(self, now: float) -> Step:
        """The socket is open: it is time for `hello`."""
        self.deadline = now + protocol.DIAL_WITHIN_S
        return Step.GREET

    def greeted(self, now: float) -> None:
        """`hello` was answered."""
        self._enter("connected", "")
        self.deadline, self._up_since = None, now
        self._tries = self._stale_tokens = 0

    def refused(self, error: CaasError, now: float) -> Step:
        """`hello` was refused."""
        if error.code == "token_expired":
            return self._expired(now)
        if error.retryable:
            self._again(error.code, now, (error.retry_after_ms or 0) / 1000)
        else:
            self._enter("auth_failed" if error.code in ("token_invalid", "not_authenticated") else "disconnected", error.code)
        return Step.HANG_UP

    def lost(self, code: int | None, now: float) -> Step:
        """The socket has closed, or never opened. `code` is the close code, where there was one."""
        reason = protocol.REASONS.get(code or 0, f"closed {code}" if code else "network")
        if code == protocol.TOKEN_EXPIRED:
            return self._expired(now)
        if code is not None and protocol.closes_for_good(code):
            self._enter("auth_failed" if code in (protocol.TOKEN_INVALID, protocol.REVOKED) else "disconnected", reason)
        else:
            self._again(reason, now, 1.0 if code == protocol.TOO_MANY else 0.0)
        return Step.HANG_UP

    def token_failed(self, now: float) -> bool:
        """Whoever gives tokens could not. Whether that was the last try."""
        if self._wants_token:
            self._again("no_token", now, 0.0)
        return self.state == "disconnected"

    def log_out(self, reason: str) -> Step:
        """End it from this side."""
        if self.state != "disconnected":
            self._enter("disconnected", reason)
        return Step.HANG_UP

    def tick(self, now: float, server_ms: int) -> Step:
        """Time has passed."""
        if self.wait_until is not None and now >= self.wait_until:
            self.wait_until = None
            return self._begin(now, server_ms)
        if self.deadline is not None and now >= self.deadline:
            return self.lost(None, now)
        return Step.NOTHING

    def _begin(self, now: float, server_ms: int) -> Step:
        fresh = not self.token_expires_at or server_ms < self.token_expires_at - _NEARLY_MS
        if self.token and fresh:
            return self._dial(now)
        self._wants_token = True
        return Step.ASK_TOKEN

    def _dial(self, now: float) -> Step:
        self.socket += 1
        self._wants_token = False
        self.deadline = now + protocol.DIAL_WITHIN_S
        return Step.DIAL

    def _expired(self, now: float) -> Step:
        """The token is used up. Twice in a row without a connection: whoever gives tokens gives old ones."""
        self.token, self.token_expires_at = "", 0
        self._stale_tokens += 1
        if self._stale_tokens > 1:
            self._enter("auth_failed", "token_expired")
        else:
            self._again("token_expired", now, 0.0)
        return Step.HANG_UP

    def _again(self, reason: str, now: float, least_s: float) -> None:
        if self._up_since is not None and now - self._up_since >= protocol.STABLE_S:
            self._waits = 0
        self._up_since = None
        self.socket += 1
        self._tries += 1
        if self._retries is not None and self._tries > self._retries:
            return self._enter("disconnected", "retries")
        most = min(protocol.BACKOFF_MOST_S, protocol.BACKOFF_LEAST_S * 2 ** min(self._waits, 16))
        self._waits += 1
        wait_s = max(least_s, self._chance() * most)
        self._enter("connecting" if self.state == "connecting" else "reconnecting", reason, wait_s)
        self.wait_until = now + wait_s
        return None

    def _enter(self, state: State, reason: str, wait_s: float | None = None) -> None:
        self.state, self.reason = state, reason
        self.changes.append((state, reason, wait_s))
        self.wait_until = self.deadline = None
        self._wants_token = False
        if state in ("disconnected", "auth_failed"):
            self.socket += 1
            self._up_since = None


def token_expiry(token: str) -> int:
    """When a token says that it expires, in ms since 1970; 0 when it does not say. Nothing is verified: that is the server's."""
    try:
        part = token.split(".")[1]
        told = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"]
        return int(told) * 1000
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0
