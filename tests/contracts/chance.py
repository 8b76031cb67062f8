"""Chance that a seed decides, for tests."""

import random


class Seeded:
    """The port protocol.world.Rng, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def bytes(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def random(self) -> float:
        return self._random.random()
