"""The parts that rooms may have, by name: what stands before the dot in a signal's `what`."""

from actors.ephemeral.part import Parts
from actors.ephemeral.typing import Typing

PARTS: Parts = {
    "typing": Typing,
}
