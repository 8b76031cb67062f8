"""Secret keys and applications."""

from zlib import crc32

import pytest

from protocol.errors import Refused
from services.api_keys import DEV_PUBLISHABLE, DEV_SECRET
from services.api_keys.service import is_loopback
from services.api_keys.text import is_publishable, make_key, secret_key_id
from services.applications import DEV
from services.chance import base62
from services.scope import SYSTEM, Scope


async def refused(awaitable) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code


async def test_an_application_is_made_with_a_publishable_key_of_its_environment(worker):
    made = await worker.applications.create("Shop", "test")
    assert made.publishable.startswith("caas_test_pk_")
    assert is_publishable(made.publishable)
    assert await worker.sibling().applications.get(made.id) == made
    assert await worker.applications.get("nobody") is None
    assert await refused(worker.api_keys.authenticate(made.publishable, "10.0.0.1")) == "token_invalid"


async def test_an_application_with_a_given_id_is_made_once(worker):
    first = await worker.applications.create("Dev", "test", id=DEV)
    assert first.publishable == DEV_PUBLISHABLE
    worker.clock.ms += 5
    assert await worker.sibling().applications.create("Other", "live", id=DEV) == first


async def test_a_secret_key_opens_its_own_application_and_only_its_hash_is_kept(worker):
    shop, other = await worker.applications.create("Shop"), await worker.applications.create("Other")
    key = await worker.api_keys.create(shop)
    assert key.startswith("caas_live_sk_")
    assert len(key) == len("caas_live_sk_") + 8 + 1 + 43 + 1 + 6
    await worker.api_keys.create(other)
    assert await worker.sibling().api_keys.authenticate(key, "10.0.0.1") == shop.id
    stored = await worker.documents.get(SYSTEM, "api_keys", secret_key_id(key))
    assert key.encode() not in repr(stored).encode()
    assert key[:40] not in repr(stored)


@pytest.mark.parametrize("change", ["character", "checksum", "id", "shortened", "kind", "nothing", "unicode", "long"])
async def test_a_key_that_is_not_exactly_right_opens_nothing(worker, change):
    shop = await worker.applications.create("Shop")
    key = await worker.api_keys.create(shop)
    stranger = make_key("live", "sk", worker.rng)
    wrong = {
        "character": key[:30] + ("A" if key[30] != "A" else "B") + key[31:],
        "checksum": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "id": stranger.text,
        "shortened": key[:-1],
        "kind": key.replace("_sk_", "_pk_"),
        "nothing": "",
        "unicode": "caas_live_sk_é",
        "long": key * 1000,
    }[change]
    assert await refused(worker.api_keys.authenticate(wrong, "10.0.0.1")) == "token_invalid"


async def test_the_right_id_with_another_secret_opens_nothing(worker):
    shop = await worker.applications.create("Shop")
    key = await worker.api_keys.create(shop)
    forged = make_key("live", "sk", worker.sibling(77).rng).text
    front = f"caas_live_sk_{secret_key_id(key)}_{forged.split('_')[4]}"
    bent = f"{front}_{base62(crc32(front.encode()).to_bytes(4, 'big'), 6)}"
    assert secret_key_id(bent) == secret_key_id(key)
    assert await refused(worker.api_keys.authenticate(bent, "10.0.0.1")) == "token_invalid"


async def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_within_a_second(worker):
    shop = await worker.applications.create("Shop")
    key, other = await worker.api_keys.create(shop), worker.sibling()
    await other.api_keys.authenticate(key, "10.0.0.1")
    (key_id, _), = await worker.api_keys.list(Scope(shop.id))
    assert await refused(worker.api_keys.revoke(Scope("another"), key_id)) == "not_found"
    await worker.api_keys.revoke(Scope(shop.id), key_id)
    assert await refused(worker.api_keys.authenticate(key, "10.0.0.1")) == "token_invalid"
    worker.clock.ms += 1_000
    assert await refused(other.api_keys.authenticate(key, "10.0.0.1")) == "token_invalid"
    assert await worker.api_keys.list(Scope(shop.id)) == []


async def test_an_application_has_two_keys_at_most(worker):
    shop, other = await worker.applications.create("Shop"), await worker.applications.create("Other")
    for _ in range(2):
        await worker.api_keys.create(shop)
    assert await refused(worker.api_keys.create(shop)) == "too_many"
    assert await refused(worker.api_keys.rotate(shop, 0)) == "too_many"
    assert await worker.api_keys.create(other)


async def test_a_rotated_key_works_for_its_grace_and_then_makes_room(worker):
    shop = await worker.applications.create("Shop")
    old = await worker.api_keys.create(shop)
    worker.clock.ms += 1
    new = await worker.api_keys.rotate(shop, 3_600_000)
    for key in (old, new):
        assert await worker.api_keys.authenticate(key, "10.0.0.1") == shop.id
    assert [key.expires_at for _, key in await worker.api_keys.list(Scope(shop.id))] == [worker.clock.ms + 3_600_000, 0]
    worker.clock.ms += 3_600_000
    assert await refused(worker.api_keys.authenticate(old, "10.0.0.1")) == "token_invalid"
    assert await worker.api_keys.authenticate(new, "10.0.0.1") == shop.id
    assert [key.last4 for _, key in await worker.api_keys.list(Scope(shop.id))] == [new[-4:]]
    await worker.api_keys.rotate(shop, 0)
    worker.clock.ms += 1_000
    assert await refused(worker.api_keys.authenticate(new, "10.0.0.1")) == "token_invalid"
    for grace in (-1, 7 * 24 * 3_600_000 + 1):
        assert await refused(worker.api_keys.rotate(shop, grace)) == "bad_request"


async def test_when_a_key_was_last_used_is_known_to_the_minute_and_does_not_bring_it_back(worker):
    shop = await worker.applications.create("Shop")
    key = await worker.api_keys.create(shop)

    async def last_used():
        return [found.last_used_at for _, found in await worker.api_keys.list(Scope(shop.id))]

    assert await last_used() == [0]
    begun = worker.clock.ms
    for later, known in ((0, begun), (30_000, begun), (60_000, begun + 60_000)):
        worker.clock.ms = begun + later
        await worker.sibling().api_keys.authenticate(key, "10.0.0.1")
        assert await last_used() == [known]
    new = await worker.api_keys.rotate(shop, 300_000)
    worker.clock.ms += 120_000
    await worker.sibling().api_keys.authenticate(key, "10.0.0.1")
    worker.clock.ms += 180_000
    assert await refused(worker.sibling().api_keys.authenticate(key, "10.0.0.1")) == "token_invalid"
    assert await worker.api_keys.authenticate(new, "10.0.0.1") == shop.id


async def test_all_applications_are_listed_oldest_first(worker):
    made = []
    for number in range(120):
        made.append(await worker.applications.create(f"App {number}"))
        worker.clock.ms += 1
    assert await worker.sibling().applications.list() == made


@pytest.mark.parametrize(("peer", "taken"), [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("127.9.9.9", True),
                                         ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("", False), ("localhost", False)])
async def test_the_development_key_is_taken_from_this_machine_alone(dev_worker, peer, taken):
    assert is_loopback(peer) is taken
    if taken:
        assert await dev_worker.api_keys.authenticate(DEV_SECRET, peer) == DEV
    else:
        assert await refused(dev_worker.api_keys.authenticate(DEV_SECRET, peer)) == "token_invalid"


async def test_without_the_development_set_up_its_key_is_nothing(worker):
    assert await refused(worker.api_keys.authenticate(DEV_SECRET, "127.0.0.1")) == "token_invalid"
