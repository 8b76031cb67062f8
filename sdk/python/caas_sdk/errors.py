"""What can go wrong, and what to do about it.

    CaasError              a refusal: `code`, `message`, `retryable`, and what it is about
      Disconnected         there is no connection any more, and none will be made by itself
      TimedOut             no answer in time; an act may still take effect, and its push will tell
"""

from collections.abc import Mapping
from typing import Any

from caas_sdk.wire import RETRYABLE as RETRYABLE


class CaasError(Exception):
    """No, and why. `code` is one of RETRYABLE, or `disconnected`; a code that is not known here is treated as the server says."""

    def __init__(self, code: str, message: str = "", *, retryable: bool | None = None, retry_after_ms: int | None = None,
                 field: str | None = None, limit: Mapping[str, Any] | None = None, request_id: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retryable = RETRYABLE.get(code, False) if retryable is None else retryable
        self.retry_after_ms = retry_after_ms
        self.field = field
        self.limit = limit
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class Disconnected(CaasError):
    """The connection has ended and will not be made again by itself: connect again, with a new token where `reason` asks for one."""

    def __init__(self, reason: str) -> None:
        super().__init__("disconnected", f"not connected ({reason})", retryable=False)
        self.reason = reason


class TimedOut(CaasError):
    """No answer within the time that the caller gave. What was asked for may still happen."""

    def __init__(self, command: str, after_s: float) -> None:
        super().__init__("timeout", f"`{command}` had no answer within {after_s:g} s", retryable=True)
        self.after_s = after_s


def from_wire(e: Mapping[str, Any]) -> CaasError:
    """The error that a reply's `e` tells."""
    return CaasError(str(e.get("code", "internal")), str(e.get("message", "")), retryable=bool(e.get("retryable", False)),
                     retry_after_ms=e.get("retry_after_ms"), field=e.get("field"), limit=e.get("limit"),
                     request_id=str(e.get("request_id", "")))
