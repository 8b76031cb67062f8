"""Storage on one machine with nothing installed: log and documents in one SQLite file that all workers share."""

from storage.embedded.backend import Bounds, EmbeddedBackend, open_embedded
from storage.embedded.database import Settings, raise_generation
from storage.failing import Fatal, Unfit

__all__ = ["Bounds", "EmbeddedBackend", "Fatal", "Settings", "Unfit", "open_embedded", "raise_generation"]
