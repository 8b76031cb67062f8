"""Storage in memory: the same rules as the others, for tests and the simulated world. Nothing of it outlasts the process."""

from storage.memory.backend import MemoryBackend, open_memory
from storage.memory.store import Store
from storage.memory.weather import Calm, Fate, Storm, Weather

__all__ = ["Calm", "Fate", "MemoryBackend", "Store", "Storm", "Weather", "open_memory"]
