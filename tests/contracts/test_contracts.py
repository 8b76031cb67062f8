"""Every rule of every port, on every backend. A new backend joins by one line of BACKENDS."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from storage.embedded import open_embedded
from storage.memory import Store, Storm, open_memory
from tests.contracts import bus_rules, counters_rules, documents_rules, log_rules
from tests.contracts.data import Backend, Data
from tests.worlds import Seeded

Rule = Callable[[Data], Awaitable[None]]
Make = Callable[[Path], Data]


def _opener(open_one: Callable[[Any], AbstractAsyncContextManager[Backend]], what: Any) -> Data:
    return lambda: open_one(what)


def in_memory(folder: Path) -> Data:
    return _opener(open_memory, Store())


def in_slow_memory(folder: Path) -> Data:
    return _opener(open_memory, Store(weather=Storm(Seeded(7), slowest_s=0.004, away=0, unknown=0)))


def embedded(folder: Path) -> Data:
    return _opener(open_embedded, folder)


BACKENDS: list[Make] = [in_memory, in_slow_memory, embedded]


def rules_of(module: ModuleType) -> list[Rule]:
    own = [thing for name, thing in vars(module).items() if inspect.iscoroutinefunction(thing) and not name.startswith("_")]
    return [thing for thing in own if thing.__module__ == module.__name__]


RULES = [rule for module in (log_rules, documents_rules, counters_rules, bus_rules) for rule in rules_of(module)]


@pytest.mark.parametrize("make", BACKENDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.__module__.rsplit('.')[-1]}.{rule.__name__}")
async def test_rule(rule: Rule, make: Make, tmp_path: Path) -> None:
    await rule(make(tmp_path))


def test_no_rule_is_forgotten() -> None:
    assert len(RULES) > 50
