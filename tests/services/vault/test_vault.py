"""The vault: what is sealed opens for its own place alone, and not at all once its key is erased."""

import pytest
import trio

from services.scope import Scope
from services.vault import APPLICATION, Unopenable, Vault
from storage.ports.documents import version


async def test_what_is_sealed_opens_on_any_worker(worker):
    await worker.vault.ensure_author("t1", "u1")
    key, sealed = worker.vault.seal("t1", "u1", b"place", b"hello")
    assert key == "u1"
    assert b"hello" not in sealed
    other = worker.sibling().vault
    assert other.open("t1", key, b"place", sealed) is None
    await other.ensure("t1", [key])
    assert other.open("t1", key, b"place", sealed) == b"hello"


async def test_a_key_that_is_not_at_hand_seals_nothing(worker):
    assert worker.vault.seal("t1", "u1", b"", b"x") is None


async def test_the_application_seals_under_a_key_of_its_own(worker):
    await worker.vault.ensure_author("t1", "")
    key, sealed = worker.vault.seal("t1", "", b"", b"x")
    assert key == APPLICATION
    assert worker.vault.open("t1", key, b"", sealed) == b"x"


@pytest.mark.parametrize("change", ["aad", "author", "tenant", "bit", "short", "format"])
async def test_anything_else_than_what_was_sealed_does_not_open(worker, change):
    for tenant, author in (("t1", "u1"), ("t1", "u2"), ("t2", "u1")):
        await worker.vault.ensure_author(tenant, author)
    key, sealed = worker.vault.seal("t1", "u1", b"place", b"hello")
    bent = {"bit": sealed[:-1] + bytes([sealed[-1] ^ 1]), "short": sealed[:20], "format": b"\x02" + sealed[1:]}
    tenant = "t2" if change == "tenant" else "t1"
    author = "u2" if change == "author" else key
    aad = b"elsewhere" if change == "aad" else b"place"
    with pytest.raises(Unopenable):
        worker.vault.open(tenant, author, aad, bent.get(change, sealed))


async def test_two_workers_that_make_a_key_at_once_end_with_one(worker):
    other = worker.sibling()
    async with trio.open_nursery() as nursery:
        for vault in (worker.vault, other.vault):
            nursery.start_soon(vault.ensure_author, "t1", "u1")
    key, sealed = worker.vault.seal("t1", "u1", b"", b"x")
    assert other.vault.open("t1", key, b"", sealed) == b"x"
    assert await worker.vault.hash_key("t1") == await other.vault.hash_key("t1")


async def test_the_hash_key_is_the_tenants_own_and_never_changes(worker):
    first = await worker.vault.hash_key("t1")
    assert len(first) == 32
    assert first != await worker.vault.hash_key("t2")
    assert first == await worker.sibling(9).vault.hash_key("t1")


async def test_an_erased_key_opens_nothing_and_is_never_made_again(worker):
    await worker.vault.ensure_author("t1", "u1")
    key, sealed = worker.vault.seal("t1", "u1", b"", b"x")
    await worker.vault.erase("t1", "u1")
    for vault in (worker.vault, worker.sibling().vault):
        await vault.ensure("t1", [key])
        with pytest.raises(Unopenable):
            vault.open("t1", key, b"", sealed)
        with pytest.raises(Unopenable):
            await vault.ensure_author("t1", "u1")
        assert vault.seal("t1", "u1", b"", b"x") is None


async def test_a_worker_told_to_forget_sees_that_a_key_was_erased(worker):
    other = worker.sibling()
    await other.vault.ensure_author("t1", "u1")
    key, sealed = other.vault.seal("t1", "u1", b"", b"x")
    await worker.vault.erase("t1", "u1")
    other.vault.forget("t1", "u1")
    await other.vault.ensure("t1", [key])
    with pytest.raises(Unopenable):
        other.vault.open("t1", key, b"", sealed)


async def test_a_key_somebody_looked_for_too_early_can_still_be_made(worker):
    await worker.vault.ensure("t1", ["u1"])
    await worker.vault.ensure_author("t1", "u1")
    assert worker.vault.seal("t1", "u1", b"", b"x") is not None


async def test_no_key_is_stored_in_the_clear_and_none_opens_in_anothers_place(worker):
    await worker.vault.ensure_author("t1", "u1")
    secret = await worker.vault.secret("t1", "~hash")
    stored = await worker.documents.get(Scope("t1"), "keys", "~hash")
    assert secret not in stored.doc["sealed"]
    await worker.documents.put(Scope("t1"), "keys", "u2", stored.doc, version(1))
    with pytest.raises(Unopenable):
        await worker.vault.ensure("t1", ["u2"])


async def test_another_master_key_is_noticed_at_the_start(worker):
    await worker.vault.check()
    await worker.sibling().vault.check()
    with pytest.raises(Unopenable):
        await Vault(worker.documents, worker.rng, bytes(32)).check()
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(worker.documents, worker.rng, b"short")


async def test_the_cache_is_bounded_and_what_is_used_stays(worker):
    from services.recent import Recent
    recent = Recent[int, int](10)
    for number in range(100):
        recent.put(number, number)
        recent.get(0)
    assert len(recent) <= 10
    assert recent.get(0) == 0
    assert recent.get(50) is None
