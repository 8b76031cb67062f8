"""Every refusal there is: its code, its HTTP status, whether to retry, and what it means.

One table, from which the docs and every SDK's constants are generated. `Refused` is how the program says no: raised by rules and
services, carried over links, and turned into `e` on the wire or problem+json over REST in one place each.
"""

from typing import Any, NamedTuple


class Code(NamedTuple):
    """One row of the table."""

    status: int
    retryable: bool
    title: str


CODES: dict[str, Code] = {
    "bad_frame": Code(400, False, "The frame or body could not be decoded"),
    "bad_request": Code(400, False, "Something in the request is missing or has the wrong shape"),
    "unknown_command": Code(400, False, "There is no such command"),
    "id_in_future": Code(400, False, "The id's time is more than a minute ahead of the server"),
    "not_authenticated": Code(401, False, "Say hello, or send a token, first"),
    "token_expired": Code(401, False, "The token has expired: refresh it"),
    "token_invalid": Code(401, False, "The token or key is not valid here"),
    "forbidden": Code(403, False, "Your role here does not allow this"),
    "not_a_member": Code(403, False, "You are not a member of this conversation"),
    "frozen": Code(403, False, "The conversation is frozen"),
    "blocked": Code(403, False, "One of the two has blocked the other"),
    "feature_disabled": Code(403, False, "This feature is switched off for the application"),
    "not_found": Code(404, False, "There is no such thing, or not for you"),
    "id_conflict": Code(409, False, "This id was used for something else"),
    "id_expired": Code(409, False, "This id is older than what the conversation keeps"),
    "too_large": Code(413, False, "It is larger than the limit"),
    "too_many": Code(429, True, "Too many requests"),
    "internal": Code(500, False, "Something went wrong on our side"),
    "unavailable": Code(503, True, "Not possible right now: nothing was done"),
    "timeout": Code(504, True, "The outcome is unknown: send it again with the same id"),
    "storage_full": Code(507, True, "There is no room to store it: nothing was done"),
}

RETRY_AFTER_MS = {"too_many": 1_000, "unavailable": 500, "timeout": 1_000, "storage_full": 5_000}
"""What a retryable refusal advises when it does not know better."""


class Refused(Exception):
    """No, and why: a code of the table, a sentence that says what to do, and what it is about.

    `field` is the dotted path of what is wrong in the request; `limit` is (name, most, got) of the limit that was met.
    """

    def __init__(self, code: str, message: str = "", *, field: str | None = None, limit: tuple[str, int, int] | None = None,
                 retry_after_ms: int | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message or CODES[code].title + "."
        self.field = field
        self.limit = limit
        self.retry_after_ms = RETRY_AFTER_MS.get(code) if retry_after_ms is None else retry_after_ms

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code].status

    @property
    def retryable(self) -> bool:
        """Whether sending the same again, with the same id, may succeed."""
        return CODES[self.code].retryable

    def to_wire(self, request_id: str) -> dict[str, Any]:
        """The members of `e`: code, message, retryable, and what else is known."""
        wire: dict[str, Any] = {"code": self.code, "message": self.message, "retryable": self.retryable, "request_id": request_id}
        if self.retryable and self.retry_after_ms is not None:
            wire["retry_after_ms"] = self.retry_after_ms
        if self.field is not None:
            wire["field"] = self.field
        if self.limit is not None:
            wire["limit"] = dict(zip(("name", "max", "got"), self.limit, strict=True))
        return wire

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.code, self.message, self.field, self.limit, self.retry_after_ms)


def _again(code: str, message: str, field: str | None, limit: tuple[str, int, int] | None, after: int | None) -> Refused:
    return Refused(code, message, field=field, limit=limit, retry_after_ms=after)


def too_large(name: str, most: int, got: int, field: str) -> Refused:
    """A field over its limit."""
    return Refused("too_large", f"`{field}` is {got}, and at most {most} is possible: make it smaller.", field=field, limit=(name, most, got))
