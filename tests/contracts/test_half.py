"""The rules of documents and counters, on a real MongoDB and a real Redis; those of the log are put to the whole cluster (test_cluster.py)."""

from collections.abc import Iterator

import pytest

from deploy.local.engines import Mongo, Redis
from storage.memory import Store
from tests.contracts import counters_rules, documents_rules
from tests.contracts.data import Data
from tests.contracts.test_contracts import Rule, rules_of
from tests.storage.halves import drop, fresh, open_half

RULES = [rule for module in (documents_rules, counters_rules) for rule in rules_of(module)]


@pytest.fixture
def data(mongo: Mongo, redis: Redis) -> Iterator[Data]:
    store, database = Store(), fresh()
    yield lambda: open_half(store, mongo.uri, redis.url, database)
    drop(mongo.uri, database)


@pytest.mark.real
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.__module__.rsplit('.')[-1]}.{rule.__name__}")
async def test_rule(rule: Rule, data: Data) -> None:
    await rule(data)
