"""What a set-up is: how many partitions, which generation, which epoch. One document, made by whoever comes first, the same for every node."""

from typing import NamedTuple

from storage.failing import Unfit
from storage.ports.documents import Document, Documents, version

COLLECTION, KEY = "setup", "log"


class _System(NamedTuple):
    tenant: str = "~system"


SYSTEM = _System()
UNFIT = "unfit"
"""In the place of settings: why this set-up may not be started (it was moved away, or what moves here is not here yet)."""


class Settings(NamedTuple):
    """Partitions and id never change; the generation rises when the log is made anew, the epoch when acknowledged entries were lost."""

    partitions: int
    setup: str
    epoch: int = 1
    generation: int = 1


async def settle(documents: Documents, partitions: int, setup: str) -> Settings:
    """The set-up's settings; made now where there are none. Raises Unfit for another number of partitions, StorageError."""
    await documents.put(SYSTEM, COLLECTION, KEY, Settings(partitions, setup)._asdict(), version(1))
    settings = await read_settings(documents)
    assert settings is not None
    if settings.partitions != partitions:
        raise Unfit(f"this set-up was made with {settings.partitions} partitions and can have no other number: "
                    f"configure {settings.partitions} instead of {partitions}")
    return settings


async def read_settings(documents: Documents) -> Settings | None:
    """The settings; None where there is no set-up yet. Raises Unfit where it may not be started."""
    held = await documents.get(SYSTEM, COLLECTION, KEY)
    return settings_of(held.doc) if held else None


def settings_of(doc: Document) -> Settings:
    """From the document. Raises Unfit with why it may not be started."""
    if UNFIT in doc:
        raise Unfit(doc[UNFIT])
    return Settings(**doc)


async def write_settings(documents: Documents, settings: Settings) -> None:
    """Make a set-up exactly so, where there is none: it comes from elsewhere. Raises Unfit where there is one."""
    if not await documents.put(SYSTEM, COLLECTION, KEY, settings._asdict(), version(1)):
        raise Unfit("there is a set-up here already: name another database, or drop it")


async def raise_generation(documents: Documents, *, lost: bool) -> Settings:
    """Begin a new log, after the old one was lost, restored or left behind; with `lost` (acknowledged entries are gone) the epoch rises too.
    No node may be running. Raises Unfit where there is no set-up."""
    held = await documents.get(SYSTEM, COLLECTION, KEY)
    if held is None:
        raise Unfit("there is no set-up here")
    settings = settings_of(held.doc)
    raised = settings._replace(generation=settings.generation + 1, epoch=settings.epoch + int(lost))
    if not await documents.put(SYSTEM, COLLECTION, KEY, raised._asdict(), version(held.place.offset + 1)):
        raise Unfit("somebody else changed the set-up at the same time: look at it, then do this again")
    return raised
