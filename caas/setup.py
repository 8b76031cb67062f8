"""A set-up worked on from the command line: its services, without rooms. A server may be running on the same folder, or nodes of the cluster.

Workers look at keys and applications anew within a second, so what is done here counts there without anybody being told.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from msgspec.structs import replace

from caas.config import Config
from caas.options import Mistake
from caas.secrets import master_key
from caas.wiring import open_documents
from caas.world import SystemWorld
from protocol.errors import Refused
from services.acts import Act, Verdict
from services.api_keys import ApiKeys
from services.applications import Application, Applications
from services.scope import Scope
from services.sessions import Ending, Sessions
from services.tenants import Tenants
from services.token_keys import TokenKeys
from services.users import Users
from services.vault import Vault
from services.vault.sealing import Unopenable
from storage.embedded.database import partitions_of
from storage.failing import Fatal, Unfit
from storage.ports.errors import StorageError


@dataclass(frozen=True)
class Setup:
    """What commands work with."""

    applications: Applications
    api_keys: ApiKeys
    token_keys: TokenKeys
    make_sessions: Callable[[], Awaitable[Sessions]]

    async def application(self, named: str) -> Application:
        """The application with this id, or the only one with this name. Raises Mistake."""
        if found := await self.applications.get(named):
            return found
        same = [one for one in await self.applications.list() if one.name == named]
        if len(same) == 1:
            return same[0]
        if same:
            raise Mistake(f"{len(same)} applications are called `{named}`: say which by its id, {', '.join(one.id for one in same)}")
        raise Mistake(f"there is no application `{named}`: `caas app list` shows which there are")


def on_setup(config: Config, work: Callable[[Setup], Awaitable[Any]], *, make: bool = False) -> Any:
    """Run `work` on the set-up. `make`: one may be made; else it must be there. Raises Mistake; what fails is told, and exits with 1."""
    if config.backend == "embedded":
        if not (config.data / "caas.sqlite").exists():
            _begin(config, make)
        config = replace(config, partitions=partitions_of(config.data) or config.partitions)
    try:
        return trio.run(_work, config, work)
    except BaseExceptionGroup as group:
        error = _only(group)
    except _EXPECTED as alone:
        error = alone
    if isinstance(error, Mistake):
        raise error from None
    if isinstance(error, Refused):
        raise Mistake(error.message) from None
    where = config.data if config.backend == "embedded" else config.setup
    raise SystemExit(f"caas: the data in {where} cannot be worked with: {error or type(error).__name__}")


async def _work(config: Config, work: Callable[[Setup], Awaitable[Any]]) -> Any:
    async with _open(config) as setup:
        return await work(setup)


@asynccontextmanager
async def _open(config: Config) -> AsyncIterator[Setup]:
    world = SystemWorld()
    async with open_documents(config, world) as documents:
        clock, rng = world.clock, world.rng
        api_keys, token_keys = ApiKeys(documents, clock, rng), TokenKeys(documents, clock, rng)

        async def make_sessions() -> Sessions:
            if not (config.data / "master.key").exists():
                raise Mistake(f"{config.data / 'master.key'} is missing: start the server once, or put the key back")
            vault = Vault(documents, rng, master_key(config.data, rng))
            await vault.check()
            tenants = Tenants(vault.hash_key)
            users = Users(documents, _NoRooms(), tenants, clock, rng)
            return Sessions(documents, users, api_keys, token_keys, vault, tenants, clock, rng, _told_by_storage)

        yield Setup(Applications(documents, clock, rng), api_keys, token_keys, make_sessions)


class _NoRooms:
    """No conversation lives here. What is to be told in one is told by the next worker that meets the user."""

    async def submit(self, scope: Scope, act: Act) -> Verdict:
        raise Refused("unavailable", "The command line has no conversations.")


def _told_by_storage(ending: Ending) -> None:
    """Workers look by themselves."""


def _begin(config: Config, make: bool) -> None:
    """There is no set-up here. One that is made has its master key from the beginning."""
    if not make:
        raise Mistake(f"{config.data} holds no set-up: name its folder with --data, or make one with `caas app create`")
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    master_key(config.data, SystemWorld().rng)


def _only(group: BaseExceptionGroup[Any]) -> BaseException:
    """What went wrong, where it is something that may. Raises the group for anything else."""
    _, unexpected = group.split(_EXPECTED)
    if unexpected is not None:
        raise group
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


_EXPECTED = (Mistake, Refused, Unfit, Unopenable, StorageError, Fatal, OSError, ValueError, sqlite3.Error, trio.TooSlowError)
