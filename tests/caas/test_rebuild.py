"""`caas rebuild`, and the guard that keeps a half rebuilt set-up from being served."""

from pathlib import Path

import pytest
import trio

from caas.apps import create
from caas.config import Config
from caas.options import Mistake
from caas.rebuild import rebuild
from caas.rebuilding import mark, refuse_half_rebuilt
from deploy.local.engines import Mongo, Redis
from storage.embedded import open_embedded
from storage.failing import Unfit
from storage.memory import Store
from storage.ports.documents import Documents, Held, version
from tests.contracts.data import ONE, OTHER
from tests.storage.halves import drop, fresh, open_half


def test_a_set_up_with_nothing_said_is_rebuilt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create("Shop", data=tmp_path / "data") == 0
    assert rebuild(Config(data=tmp_path / "data")) == 0
    assert "rebuilt what follows from 0 entries of 0 conversations" in capsys.readouterr().out
    with pytest.raises(Mistake, match="holds no set-up"):
        rebuild(Config(data=tmp_path / "none"))


async def test_a_rebuild_that_was_not_finished_is_not_served(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        await refuse_half_rebuilt(backend.documents)
        await mark(backend.documents, begun=True)
    async with open_embedded(tmp_path) as backend:
        with pytest.raises(Unfit, match="run `caas rebuild` again"):
            await refuse_half_rebuilt(backend.documents)
        await mark(backend.documents, begun=True)
        await mark(backend.documents, begun=False)
        await refuse_half_rebuilt(backend.documents)


async def forgets(documents: Documents) -> None:
    """What is forgotten leaves nothing, not even a place: the same may be written again. Other collections stay."""
    for scope in (ONE, OTHER):
        for collection in ("memberships", "heads", "users"):
            await documents.put(scope, collection, "k", {"user": "ann", "external_id": "e"}, version(7))
    await documents.forget(("memberships", "heads"))  # type: ignore[attr-defined]
    for scope in (ONE, OTHER):
        assert await documents.get(scope, "memberships", "k") is None
        assert list(await documents.find(scope, "memberships", "of_user", ["ann"])) == []
        assert await documents.get(scope, "users", "k") is not None
        assert await documents.put(scope, "memberships", "k", {"user": "ann"}, version(3))
        assert await documents.find(scope, "memberships", "of_user", ["ann"]) == [Held("k", {"user": "ann"}, version(3))]


async def test_embedded_documents_are_forgotten(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        await forgets(backend.documents)


@pytest.mark.real
async def test_the_clusters_documents_are_forgotten(mongo: Mongo, redis: Redis) -> None:
    name = fresh()
    async with open_half(Store(), mongo.uri, redis.url, name) as backend:
        await forgets(backend.documents)
    await trio.to_thread.run_sync(drop, mongo.uri, name)
