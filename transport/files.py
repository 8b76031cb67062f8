"""Files that belong to a page of ours, as they are."""

import gzip
import re
from pathlib import Path
from typing import Final

import trio
from quart import Response, request

from protocol.errors import Refused

TYPES: Final = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
                ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon"}
_PLAIN = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)+\Z")
MEDIA: Final = tuple(kind.partition(";")[0] for kind in TYPES.values())


async def send_file(folder: Path, name: str, **headers: str) -> Response:
    """A file of the folder, itself or as it lies there compressed (`<name>.gz`). `name` is no path. Raises Refused `not_found`."""
    known = TYPES.get(Path(name).suffix)
    if known is None or _PLAIN.match(name) is None:
        raise _missing()
    packed = trio.Path(folder / f"{name}.gz")
    if await packed.is_file():
        return await _packed(packed, known, headers)
    plain = trio.Path(folder / name)
    if not await plain.is_file():
        raise _missing()
    return Response(await plain.read_bytes(), 200, headers, content_type=known)


async def _packed(path: trio.Path, known: str, headers: dict[str, str]) -> Response:
    body = await path.read_bytes()
    headers = {**headers, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        body = await trio.to_thread.run_sync(gzip.decompress, body)
    return Response(body, 200, headers, content_type=known)


def _missing() -> Refused:
    return Refused("not_found", "There is no such file.")
