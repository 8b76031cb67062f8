"""`caas app`, `caas keys`, `caas token` on a cluster: they need MongoDB alone, and are no node more."""

import functools
from typing import Any

import pytest
import trio

from deploy.local.engines import Mongo
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import open_mongo
from storage.cluster.settings import settle
from tests.caas.test_commands import caas  # noqa: F401 - the fixture
from tests.storage.halves import fresh


@pytest.fixture
def setup(mongo: Mongo, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a set-up that is not there yet; the environment says where it is. No Kafka and no Redis are there."""
    name = fresh()
    nowhere = {"KAFKA": "127.0.0.1:1", "REDIS": "redis://127.0.0.1:1"}
    for key, value in {"BACKEND": "cluster", "SETUP": name, "NODE": "here", "MONGO": mongo.uri, **nowhere}.items():
        monkeypatch.setenv(f"CAAS_{key}", value)
    return name


async def make(uri: str, name: str) -> None:
    """What the first node does."""
    async with open_mongo(uri, name) as opened, trio.open_nursery() as nursery:
        documents = ClusterDocuments(opened)
        nursery.start_soon(documents.run)
        await settle(documents, 64, "a set-up")
        nursery.cancel_scope.cancel()


@pytest.mark.real
def test_what_is_made_on_one_machine_is_seen_on_another(caas: Any, setup: str, mongo: Mongo) -> None:  # noqa: F811
    ran = caas("app", "list")
    assert ran.code == 1
    assert "start a node first" in ran.err

    trio.run(functools.partial(make, mongo.uri, setup))
    made = caas("app", "create", "Shop", "--json").json()
    assert [one["id"] for one in caas("app", "list", "--json").json()] == [made["id"]]
    assert len(caas("keys", "list", "Shop", "--json").json()) == 1
    second = caas("keys", "create", "Shop", "--json").json()
    assert second["secret"] != made["secret"]


@pytest.mark.real
def test_a_token_needs_the_nodes_key(caas: Any, setup: str, mongo: Mongo) -> None:  # noqa: F811
    trio.run(functools.partial(make, mongo.uri, setup))
    caas("app", "create", "Shop", "--json").json()
    ran = caas("token", "Shop", "alice")
    assert ran.code == 2
    assert "master.key is missing" in ran.err
