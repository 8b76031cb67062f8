"""What only the development set-up has: the page with alice and bob, and tokens for the asking. For this machine alone.

A page of another site could reach a server on this machine through the visitor's browser; the name it asks for (`Host`) then is not
this machine's, so that is looked at as well as the address.
"""

import re
from pathlib import Path
from typing import Final

import msgspec
from quart import Response, request

from protocol.errors import Refused
from protocol.examples import Example
from protocol.replies import SessionMade
from protocol.shapes import UserId
from services.api_keys.service import is_loopback
from services.applications import DEV
from services.scope import Scope
from services.sessions import CreateSession, Sessions
from services.users import Profile
from transport.answering import NO_ROUTE, answer
from transport.files import MEDIA, send_file
from transport.openapi.pages import NamedFile
from transport.openapi.routes import Route, Routes
from transport.openapi.sessions import CREATE
from transport.reading import read_as

PAGE: Final = Path(__file__).parent / "page"

_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:[0-9]+)?\Z")
_POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws://{host} wss://{host}; "
           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
"""The page asks nobody but this server; older browsers do not count its WebSocket among `'self'`."""


class AskToken(msgspec.Struct, frozen=True):
    """`POST /dev/token`."""

    user: UserId


_PAGE: Final = Route(name="development.page", method="GET", path="/", summary="The page where alice and bob chat.", media=("text/html",),
                     who="anyone", refuses=("not_found",))
_PAGE_FILE: Final = Route(name="development.page_file", method="GET", path="/page/{name}", params=NamedFile, summary="What belongs to the page.",
                          media=MEDIA, who="anyone", refuses=("not_found",))
_TOKEN: Final = Route(name="development.token", method="POST", path="/dev/token", params=AskToken, answers=SessionMade, statuses=(201,), who="anyone",
                      refuses=("not_found",), summary="A token for the asking: in the development set-up alone.",
                      example=Example({"user": "alice"}, CREATE.example.r if CREATE.example else {}))


def add_development(routes: Routes, sessions: Sessions) -> None:
    """`/`, `/page/<file>` and `POST /dev/token`."""

    async def page() -> Response:
        return await _file("index.html")

    async def page_file(name: str) -> Response:
        return await _file(name)

    async def token() -> Response:
        _check_local()
        asked = await read_as(AskToken)
        return answer(await sessions.create(Scope(DEV), CreateSession(Profile(asked.user))), 201)

    routes.add(_PAGE, page)
    routes.add(_PAGE_FILE, page_file)
    routes.add(_TOKEN, token)


async def _file(name: str) -> Response:
    _check_local()
    return await send_file(PAGE, name, **{"Content-Security-Policy": _POLICY.format(host=request.headers["Host"])})


def _check_local() -> None:
    found = _HOST.match(request.headers.get("Host", ""))
    host = found[1].strip("[]") if found else ""
    if not is_loopback(request.remote_addr or "") or not (host == "localhost" or is_loopback(host)):
        raise Refused("not_found", NO_ROUTE)
