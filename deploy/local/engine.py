"""What all engines have in common: members by name, and a gate that opens when they are well."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from deploy.local.member import Member

_LOOK_S = 0.1


class Unwell(Exception):
    """An engine did not become well in time: what it waited for, and its last words."""


class Engine:
    """Some members that are one service."""

    def __init__(self, name: str, members: list[Member]) -> None:
        self.name = name
        self.members = {member.name: member for member in members}

    @property
    def addresses(self) -> list[str]:
        """`host:port` of each member."""
        return [f"{member.host}:{member.port}" for member in self.members.values()]

    async def prepare(self) -> None:
        """What must be there before the first start. May be repeated."""

    async def found(self) -> None:
        """What makes the members one, once they run. May be repeated."""

    async def lacks(self) -> str:
        """What is still missing to being well; empty when nothing is."""
        raise NotImplementedError

    async def start(self, within_s: float = 90.0) -> None:
        """Start all, and wait until they are well. Raises Unwell."""
        await self.prepare()
        for member in self.members.values():
            member.start()
        await self.found()
        await self.wait_well(within_s)

    async def wait_well(self, within_s: float = 90.0) -> None:
        """Raises Unwell when it takes longer, or at once when a member has died meanwhile."""
        lacking = "it was not asked yet"
        with trio.move_on_after(within_s):
            while lacking := await self.lacks():
                self._see_all_alive()
                await trio.sleep(_LOOK_S)
            return
        raise Unwell(f"{self.name} is not well after {within_s:g} s: {lacking}")

    def _see_all_alive(self) -> None:
        for member in self.members.values():
            if not member.alive:
                raise Unwell(f"{member.name} has ended; the last of {member.log}:\n{member.last_words()}")

    def kill(self, name: str) -> None:
        """SIGKILL one member."""
        self.members[name].kill()

    def pause(self, name: str) -> None:
        """SIGSTOP one member."""
        self.members[name].pause()

    def resume(self, name: str) -> None:
        """SIGCONT one member."""
        self.members[name].resume()

    def cut(self, name: str) -> None:
        """Cut one member off from everybody."""
        self.members[name].cut()

    def heal(self, name: str) -> None:
        """End that."""
        self.members[name].heal()

    async def restart(self, name: str, within_s: float = 90.0) -> None:
        """Start a member that was killed (or is killed now) on its old port and data, and wait until the engine is well."""
        self.members[name].kill()
        self.members[name].start()
        await self.wait_well(within_s)

    def drop(self) -> None:
        """SIGKILL all: each of these engines is made to survive it, and it takes no time."""
        for member in self.members.values():
            member.kill()
            member.heal()

    async def stop(self, grace_s: float = 15.0) -> None:
        """SIGTERM all, SIGKILL what is left after the grace."""
        async with trio.open_nursery() as nursery:
            for member in self.members.values():
                nursery.start_soon(member.stop, grace_s)


E_ = TypeVar("E_", bound=Engine)


@asynccontextmanager
async def running(engine: E_) -> AsyncIterator[E_]:
    """The engine, well; gone at the end."""
    try:
        await engine.start()
        yield engine
    finally:
        engine.drop()
