"""`/openapi.json`, and `/docs`: a page to read it and to try it on, which asks nobody but this server.

The page is Swagger UI as npm has it (`ui/`, with its licence; `make docs-page` fetches it anew), so it works where there is no
internet. Its policy allows no other origin, no inline script and no inline style.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import trio
from quart import Response

from protocol.codec import write
from transport.files import MEDIA, send_file
from transport.openapi.document import describe
from transport.openapi.routes import Route, Routes

UI: Final = Path(__file__).parent / "ui"

_POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
           "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "public, max-age=3600"}


class NamedFile(msgspec.Struct, frozen=True):
    """Which file."""

    name: str


OPENAPI: Final = Route(name="server.openapi", method="GET", path="/openapi.json", summary="This description.", who="anyone")
DOCS: Final = Route(name="server.docs", method="GET", path="/docs", summary="A page to read this description, and to try it.", media=("text/html",),
                    who="anyone")
DOCS_FILE: Final = Route(name="server.docs.file", method="GET", path="/docs/{name}", params=NamedFile, summary="What belongs to the page.",
                         media=MEDIA, who="anyone", refuses=("not_found",))


def add_pages(routes: Routes) -> None:
    """The last to be added: it describes all the others."""

    @cache
    def document() -> bytes:
        return write(describe(routes.all, version("caas-server")))

    async def openapi() -> Response:
        # Made at the first request: some 50 ms of work, which must not stand in the way of chat.
        return Response(await trio.to_thread.run_sync(document), 200, {"Cache-Control": "no-cache"}, content_type="application/json")

    async def docs() -> Response:
        return await send_file(UI, "index.html", **_HEADERS)

    async def docs_file(name: str) -> Response:
        return await send_file(UI, name, **_HEADERS)

    routes.add(OPENAPI, openapi)
    routes.add(DOCS, docs)
    routes.add(DOCS_FILE, docs_file)
