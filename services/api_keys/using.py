"""When a key was last used, to the minute: so that people know which one they may revoke."""

import contextlib
from typing import Final

from services.scope import SYSTEM
from storage.ports.documents import Documents, Held, version
from storage.ports.errors import StorageError

EVERY_MS: Final = 60_000


async def note_use(documents: Documents, collection: str, held: Held, now_ms: int) -> None:
    """Write it down, unless that was done less than a minute ago. A full disk keeps nobody out."""
    if now_ms - held.doc.get("last_used_at", 0) >= EVERY_MS:
        with contextlib.suppress(StorageError):
            await documents.put(SYSTEM, collection, held.key, {**held.doc, "last_used_at": now_ms}, version(held.place.offset + 1))
