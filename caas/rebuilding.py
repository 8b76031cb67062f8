"""The mark of a rebuild that was begun: until it is finished nobody may serve, for half of what rooms wake from is missing."""

from services.scope import SYSTEM
from storage.failing import Unfit
from storage.ports.documents import Documents, version

_COLLECTION, _KEY = "setup", "rebuilding"


async def mark(documents: Documents, *, begun: bool) -> None:
    """A rebuild was begun, or is finished."""
    held = await documents.get(SYSTEM, _COLLECTION, _KEY)
    number = held.place.offset + 1 if held else 1
    await documents.put(SYSTEM, _COLLECTION, _KEY, {"begun": begun}, version(number))


async def refuse_half_rebuilt(documents: Documents) -> None:
    """Raises Unfit where a rebuild was begun and not finished."""
    held = await documents.get(SYSTEM, _COLLECTION, _KEY)
    if held is not None and held.doc["begun"]:
        raise Unfit("a rebuild of this set-up was begun and not finished: run `caas rebuild` again, to the end")
