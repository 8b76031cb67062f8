"""Replies and refusals as HTTP has them; a refusal is `application/problem+json`: the members of `e`, and `type`, `title`, `status`."""

import logging
from typing import Any, Final

from quart import Response, request
from werkzeug.exceptions import HTTPException

from actors.refusing import explained
from protocol.codec import write
from protocol.errors import CODES, Refused
from protocol.limits import FRAME

_log = logging.getLogger("rest")

NO_ROUTE: Final = "There is no such route. REST is at `/api/v1`, to read and to try at `/docs`; WebSocket is at `/ws`."
_HTTP = {
    404: ("not_found", NO_ROUTE),
    405: ("bad_request", "This route does not know that method."),
    408: ("bad_frame", "The body took too long to arrive."),
    413: ("too_large", f"The body is larger than {FRAME} bytes."),
}


def answer(r: dict[str, Any], status: int) -> Response:
    """A reply."""
    return Response(write(r), status, content_type="application/json")


def problem_members(refused: Refused, request_id: str, status: int = 0) -> dict[str, Any]:
    """The members of problem+json. `status` where it is not the code's own."""
    return {"type": f"urn:caas:error:{refused.code}", "title": CODES[refused.code].title, "status": status or refused.status,
            **refused.to_wire(request_id)}


def problem(refused: Refused, request_id: str, status: int = 0) -> Response:
    """The response that says no. `status` where it is not the code's own."""
    wire = problem_members(refused, request_id, status)
    response = Response(write(wire), status or refused.status, content_type="application/problem+json")
    if refused.retryable and refused.retry_after_ms is not None:
        response.headers["Retry-After"] = str(-(-refused.retry_after_ms // 1000))
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def problem_of(error: Exception, request_id: str) -> Response:
    """The response for whatever ended a request. What nobody foresaw is logged, and told only as `internal`."""
    if isinstance(error, HTTPException):
        return _of_http(error, request_id)
    if (refused := explained(error)) is not None:
        return problem(refused, request_id)
    _log.error("request failed", extra={"request_id": request_id}, exc_info=error)
    return problem(Refused("internal"), request_id)


def _of_http(error: HTTPException, request_id: str) -> Response:
    status = error.code or 500
    code, message = _HTTP.get(status, ("bad_request" if status < 500 else "internal", ""))
    refused = Refused(code, message, limit=("frame", FRAME, request.content_length or FRAME + 1) if status == 413 else None)
    response = problem(refused, request_id, status if code == "bad_request" else 0)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response
