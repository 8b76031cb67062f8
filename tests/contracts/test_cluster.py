"""The rules of the log and of the bus, on a real Kafka with MongoDB and Redis behind it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.engines import Kafka, Mongo, Redis
from tests.contracts import bus_rules, log_rules
from tests.contracts.data import Data
from tests.contracts.test_contracts import Rule, rules_of
from tests.storage.clusters import made

RULES = [rule for module in (log_rules, bus_rules) for rule in rules_of(module)]


@pytest.fixture
def data(kafka: Kafka, mongo: Mongo, redis: Redis, tmp_path: Path) -> Iterator[Data]:
    with made(kafka, mongo, redis, tmp_path) as open_one:
        yield open_one


@pytest.mark.real
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.__module__.rsplit('.')[-1]}.{rule.__name__}")
async def test_rule(rule: Rule, data: Data) -> None:
    await rule(data)
