"""What the program serves, asked of the program itself: its command table, and its description of REST."""

import json
from typing import Any, NamedTuple

import msgspec
import trio

from actors.house import Errands
from caas.assembly import Assembly
from caas.world import SystemWorld
from protocol.examples import COMMANDS, Example
from services.commands import Command
from services.hello import OWN
from services.refusals import of, refusals
from storage.memory.backend import open_memory
from storage.memory.store import Store
from supervisor import open_supervisor
from transport.rest import make_app


class Said(NamedTuple):
    """A command, wherever it is carried out."""

    name: str
    params: type[msgspec.Struct]
    answers: type[msgspec.Struct]
    summary: str
    needs: tuple[str, ...]
    refuses: tuple[str, ...]
    route: str
    """`POST /conversations/{c}/messages`; empty for none."""
    anyone: bool
    example: Example


class Program(NamedTuple):
    """All commands in the order of the docs, and `/openapi.json` as the program without the development set-up has it."""

    commands: tuple[Said, ...]
    openapi: dict[str, Any]


class NoLinks:
    """A worker by itself."""

    def post(self, worker: str, message: object, reply: object, timeout: float = 0.0) -> None:
        """There is nobody."""

    def tell(self, worker: str, message: object) -> bool:
        """There is nobody."""
        return False


def ask() -> Program:
    """Put a worker together in memory, look at it, and throw it away."""
    return trio.run(_ask)


async def _ask() -> Program:
    world = SystemWorld()
    async with open_memory(Store()) as backend, trio.open_nursery() as nursery, open_supervisor(name="asked") as tree:
        assembly = Assembly(me="w", boot=1, backend=backend, world=world, links=NoLinks(), tree=tree, errands=Errands(nursery), master=bytes(32),
                            frame=lambda payload, text: payload)
        app = make_app(assembly.dispatch, None, ids=world.ids, ready=lambda: True, metrics=bytes)  # type: ignore[arg-type]  # nobody calls
        response = await app.test_client().get("/openapi.json")
        openapi = json.loads(await response.get_data())
    found = {name: _of_table(row) for name, row in assembly.table.items()}
    found |= {name: Said(name, own.params, own.answers, own.summary, (), refusals(name, own.params), "", True, COMMANDS[name])
              for name, own in OWN.items()}
    order = list(COMMANDS)
    return Program(tuple(sorted(found.values(), key=lambda said: order.index(said.name))), openapi)


def _of_table(row: Command) -> Said:
    assert row.answers is not None, row.name
    route = f"{row.method} {row.path}".strip()
    return Said(row.name, row.params, row.answers, row.summary, row.needs, of(row), route, row.anyone, COMMANDS[row.name])
