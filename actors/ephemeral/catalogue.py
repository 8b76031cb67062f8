"""The parts that rooms may have, by name: what stands before the dot in a signal's `what`. Every room has notices (`inhabitants.py`)."""

from actors.ephemeral.blocks import Blocks
from actors.ephemeral.part import Parts
from actors.ephemeral.pointers import Pointers
from actors.ephemeral.presence import Presence
from actors.ephemeral.receipts import Receipts
from actors.ephemeral.typing import Typing

PARTS: Parts = {
    "block": Blocks,
    "pointers": Pointers,
    "receipts": Receipts,
    "typing": Typing,
    "presence": Presence,
}
