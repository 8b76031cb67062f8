"""`caas application`: a new application of this set-up, and its first keys."""

import sys
from typing import Literal

import trio

from caas.config import Config
from caas.wiring import open_backend
from caas.world import SystemWorld
from services.api_keys.service import ApiKeys
from services.applications.service import Applications
from storage.ports.errors import StorageError


def make_application(config: Config, name: str, environment: Literal["live", "test"]) -> int:
    """Make it, and print what its owner needs; the exit code."""
    failed = 0
    try:
        trio.run(_make, config, name, environment)
    except* StorageError as group:
        print(f"caas: the application was not made: {group.exceptions[0]}", file=sys.stderr)
        failed = 1
    return failed


async def _make(config: Config, name: str, environment: Literal["live", "test"]) -> None:
    world = SystemWorld()
    async with open_backend(config, world) as backend:
        made = await Applications(backend.documents, world.clock, world.rng).create(name, environment)
        secret = await ApiKeys(backend.documents, world.clock, world.rng).create(made)
    print(f"application      {made.id}\npublishable key  {made.publishable}\nsecret key       {secret}")
