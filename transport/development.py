"""What only the development set-up has: the page with alice and bob, and tokens for the asking. For this machine alone.

A page of another site could reach a server on this machine through the visitor's browser; the name it asks for (`Host`) then is not
this machine's, so that is looked at as well as the address.
"""

import re
from pathlib import Path
from typing import Final

import msgspec
import trio
from quart import Quart, Response, request

from protocol.errors import Refused
from services.api_keys.service import is_loopback
from services.applications import DEV
from services.scope import Scope
from services.sessions import CreateSession, Sessions
from services.users import Profile
from transport.answering import answer
from transport.reading import read_as

PAGE: Final = Path(__file__).parent / "page"

_FILE = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)+\Z")
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]+)?\Z")
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
          ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon"}
_POLICY = ("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws: wss:; "
           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


class AskToken(msgspec.Struct, frozen=True):
    """`POST /dev/token`."""

    user: str


def add_development(app: Quart, sessions: Sessions) -> None:
    """`/`, `/page/<file>` and `POST /dev/token`."""

    @app.get("/")
    async def page() -> Response:
        return await _file("index.html")

    @app.get("/page/<name>")
    async def page_file(name: str) -> Response:
        return await _file(name)

    @app.post("/dev/token")
    async def token() -> Response:
        _check_local()
        asked = await read_as(AskToken)
        return answer(await sessions.create(Scope(DEV), CreateSession(Profile(asked.user))), 201)


async def _file(name: str) -> Response:
    _check_local()
    path = trio.Path(PAGE / name)
    if _FILE.match(name) is None or path.suffix not in _TYPES or not await path.is_file():
        raise Refused("not_found", "There is no such file.")
    return Response(await path.read_bytes(), 200, {"Content-Security-Policy": _POLICY}, content_type=_TYPES[path.suffix])


def _check_local() -> None:
    found = _HOST.match(request.headers.get("Host", ""))
    host = found[1].strip("[]") if found else ""
    if not is_loopback(request.remote_addr or "") or not (host == "localhost" or is_loopback(host)):
        raise Refused("not_found", "There is no such route.")
