"""The command table as the program has it: every command says what it answers, which rights it takes, and what it is for."""

from collections.abc import AsyncIterator

import pytest

from actors.connection import _OWN
from protocol.shapes import Shape
from services.commands import Command
from services.hello import OWN
from services.rights import CAPABILITIES
from tests.actors.world import open_world


@pytest.fixture
async def table() -> AsyncIterator[dict[str, Command]]:
    async with open_world("w1", users=()) as world:
        yield world.workers["w1"].assembly.table


async def test_every_command_says_what_it_answers(table: dict[str, Command], autojump_clock: object) -> None:
    assert [name for name, row in table.items() if row.answers is None or not issubclass(row.answers, Shape)] == []


async def test_every_command_has_a_summary_and_known_rights(table: dict[str, Command], autojump_clock: object) -> None:
    assert [name for name, row in table.items() if not row.summary.endswith(".")] == []
    assert {capability for row in table.values() for capability in row.needs} <= set(CAPABILITIES)


def test_what_only_a_connection_can_have_is_described() -> None:
    assert {name: own.params for name, own in OWN.items() if name != "hello"} == {name: kind for name, (kind, _) in _OWN.items()}
