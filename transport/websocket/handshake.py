"""The opening handshake (RFC 6455 section 4), strictly: a request head in, an upgrade or a refusal out. No I/O, no extensions."""

import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from transport.origins import EVERYBODY, Origins

MAX_HEAD: Final = 8_192
"""Bytes of request line and headers together."""

SUBPROTOCOLS: Final = ("caas.v1", "caas.v1.json")
"""What the server speaks, best first."""

_END = b"\r\n\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REQUEST_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/1\.([01])")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
}

_ONCE = ("sec-websocket-key", "sec-websocket-version", "host", "upgrade")  # a second one of these makes the request ambiguous
_KEPT = ("origin", "user-agent")


class Refused(Exception):
    """The request is no handshake of ours; `response` says why, and the connection is then closed."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.response = _refusal(status, why)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An accepted handshake: what to answer, and what the connection needs to know of the request."""

    target: str
    subprotocol: str | None
    headers: dict[str, str]
    """`origin` and `user-agent`, where sent."""
    response: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What has been read of a request: up to its empty line where it is for us, else just enough to know that it is not."""

    data: bytes
    is_ours: bool

    def checked(self) -> bytes:
        """The head alone. Raises Refused (431) when it did not end within MAX_HEAD."""
        end = self.data.find(_END, 0, MAX_HEAD)
        if end < 0:
            raise Refused(431, f"more than {MAX_HEAD} bytes of headers")
        return self.data[: end + len(_END)]

    @property
    def rest(self) -> bytes:
        """What came behind the head: the first frames of a client that did not wait."""
        return self.data.partition(_END)[2]


async def read_head(receive: Callable[[], Awaitable[bytes]], path: bytes | None) -> Head:
    """Read until it is known whether the request is for `path` (None: any is), and if so to its end. Raises ConnectionResetError at end of file."""
    data = b""
    ours = True if path is None else None
    while True:
        chunk = await receive()
        if not chunk:
            raise ConnectionResetError("hung up in its handshake")
        data += chunk
        if ours is None:
            ours = _asks_for(path or b"", data)
        if ours is False or _END in data or len(data) >= MAX_HEAD:
            return Head(data, bool(ours))


def whole_head(data: bytes, path: bytes | None) -> Head | None:
    """The same of what has come already, if that is all of it and for us."""
    return Head(data, True) if _END in data and (path is None or _asks_for(path, data)) else None


def _asks_for(path: bytes, data: bytes) -> bool | None:
    """Whether the target is `path`, query apart; None while it has not come far enough."""
    line, whole, _ = data.partition(b"\r\n")
    _, begun, target = line.partition(b" ")
    if not begun:
        return False if whole else None
    found = target.partition(b" ")[0].partition(b"?")[0]
    if found == path and (whole or len(found) < len(target)):
        return True
    return None if path.startswith(found) and not whole and len(found) == len(target) else False


def upgrade(head: bytes, *, spoken: Sequence[str] | None = SUBPROTOCOLS, origins: Origins = EVERYBODY) -> Upgrade:
    """Accept or refuse a head that ends with its empty line. `spoken` None takes the first subprotocol offered. Raises Refused."""
    method, target, minor, headers = _parse(head)
    if method != "GET":
        raise Refused(405, "a WebSocket opens with GET")
    if minor != "1" or not headers.get("host"):
        raise Refused(400, "HTTP/1.1 with Host is needed")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Refused(400, "a handshake has no body")
    if "websocket" not in _listed(headers, "upgrade") or "upgrade" not in _listed(headers, "connection"):
        raise Refused(426, "this is a WebSocket")
    if headers.get("sec-websocket-version") != "13":
        raise Refused(426, "version 13 is spoken here")
    if not origins.allow(headers.get("origin"), headers["host"]):
        raise Refused(403, "pages of this origin may not connect: the server's setting `origins` lists those that may")
    key = _checked_key(headers.get("sec-websocket-key", ""))
    subprotocol = _choose(headers.get("sec-websocket-protocol", ""), spoken)
    kept = {name: headers[name] for name in _KEPT if name in headers}
    return Upgrade(target, subprotocol, kept, _acceptance(key, subprotocol))


def _parse(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Method, target, minor version and headers (lower-case names; repeated ones joined with a comma)."""
    lines = head.decode("latin-1").split("\r\n")
    request = _REQUEST_LINE.fullmatch(lines[0])
    if request is None or lines[-2:] != ["", ""]:
        raise Refused(400, "not a request")
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        # Folded lines and spaces before the colon fall here too: both have been used to smuggle requests.
        if not colon or _TOKEN.fullmatch(name) is None or _FORBIDDEN.search(value):
            raise Refused(400, "not a header")
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            if name in _ONCE:
                raise Refused(400, f"{name} twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    method, target, minor = request.groups()
    return method, target, minor, headers


def _listed(headers: dict[str, str], name: str) -> list[str]:
    return [item.strip().lower() for item in headers.get(name, "").split(",")]


def _checked_key(key: str) -> bytes:
    try:
        nonce = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    if len(nonce) != 16:
        raise Refused(400, "bad Sec-WebSocket-Key")
    return key.encode()


def _choose(offered: str, spoken: Sequence[str] | None) -> str | None:
    names = [name.strip() for name in offered.split(",") if name.strip()]
    if any(_TOKEN.fullmatch(name) is None for name in names):
        raise Refused(400, "bad Sec-WebSocket-Protocol")
    if spoken is None:
        return names[0] if names else None
    return next((name for name in spoken if name in names), None)


def _acceptance(key: bytes, subprotocol: str | None) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n".encode() if subprotocol else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n"
        + chosen
        + b"\r\n"
    )


def _refusal(status: int, why: str) -> bytes:
    extra = {405: "Allow: GET\r\n", 426: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"}.get(status, "")
    body = f"{why}\n"
    upgrade_too = "Connection: Upgrade, close" if status == 426 else "Connection: close"
    return (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\n{extra}{upgrade_too}\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    ).encode()


NOT_FOUND: Final = _refusal(404, "nothing here but WebSockets")
"""The answer to a request for another path, where nobody serves HTTP."""
