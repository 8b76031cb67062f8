"""Keys that companies register: which are taken, which are refused, and whose they are."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from protocol.errors import Refused
from services.scope import SYSTEM, Scope
from services.token_keys.model import CreateTokenKey, DeleteTokenKey, ListTokenKeys
from services.token_keys.public import read_public
from tests.services.token_keys.keys import RSA_2048, b64, new_key, pem, private_pem

APP, OTHER = Scope("t1"), Scope("t2")
JWK = {"EdDSA": OKPAlgorithm.to_jwk, "ES256": ECAlgorithm.to_jwk, "RS256": RSAAlgorithm.to_jwk}


async def refused(awaitable) -> tuple[str, str | None]:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code, caught.value.field


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_pem_and_jwk_of_each_kind_are_the_same_key_with_one_algorithm(algorithm):
    public = new_key(algorithm).public_key()
    text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    jwk = json.loads(JWK[algorithm](public))
    for given in (text, jwk, {**jwk, "alg": algorithm, "use": "sig", "kid": "theirs"}):
        found = read_public(given)
        assert found.algorithm == algorithm
        assert found.fingerprint() == read_public(text).fingerprint()


def jwk_of(key) -> dict:
    return json.loads(OKPAlgorithm.to_jwk(key))


ED = Ed25519PrivateKey.generate()


@pytest.mark.parametrize(("given", "said"), [
    (private_pem(ED), "private key"), (jwk_of(ED), "private key"), ({"kty": "oct", "k": "c2VjcmV0"}, "private key"),
    (private_pem(RSA_2048), "private key"),
    ({**jwk_of(ED.public_key()), "alg": "HS256"}, "alg"), ({**jwk_of(ED.public_key()), "alg": "ES256"}, "alg"),
    ({**jwk_of(ED.public_key()), "use": "enc"}, "use"), ({"kty": "oct"}, "no public key"), ({}, "no public key"), ({"kty": ["OKP"]}, "no public key"),
    ({"kty": "OKP", "crv": "Ed448", "x": b64(bytes(57))}, ""), ({"kty": "OKP", "crv": "X25519", "x": b64(bytes(32))}, ""),
    ({"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(31))}, "no public key"), ({"kty": "OKP", "crv": "Ed25519", "x": 7}, "no public key"),
    ({"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32))}, "small order"),
    ({"kty": "OKP", "crv": "Ed25519", "x": b64(b"\1" + bytes(31))}, "small order"),
    (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"), (pem(rsa.generate_private_key(65_537, 1_024)), "bits"),
    (pem(rsa.generate_private_key(3, 2_048)), "exponent"), ("", "PEM"), ("x" * 100_000, "PEM"), ("secret", "PEM"),
    ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no public key"),
    ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", ""),
])
def test_a_key_that_cannot_be_trusted_is_refused_with_why(given, said):
    with pytest.raises(Refused) as caught:
        read_public(given)
    assert (caught.value.code, caught.value.field) == ("bad_request", "public_key")
    assert said in caught.value.message


async def test_registering_listing_and_deleting(worker):
    made = (await worker.token_keys.create(APP, CreateTokenKey(pem(ED), "backend")))["key"]
    assert made == {"id": made["id"], "algorithm": "EdDSA", "fingerprint": read_public(pem(ED)).fingerprint(), "created_at": worker.clock.ms,
                    "name": "backend"}
    again = await worker.sibling().token_keys.create(APP, CreateTokenKey(jwk_of(ED.public_key())))
    assert again == {"key": made, "unchanged": True}
    others = (await worker.token_keys.create(OTHER, CreateTokenKey(pem(ED))))["key"]
    assert others["id"] != made["id"]
    assert (await worker.token_keys.list(APP, ListTokenKeys()))["items"] == [made]
    assert await refused(worker.token_keys.delete(APP, DeleteTokenKey(others["id"]))) == ("not_found", "key")
    await worker.token_keys.delete(APP, DeleteTokenKey(made["id"]))
    assert await refused(worker.token_keys.delete(APP, DeleteTokenKey(made["id"]))) == ("not_found", "key")
    assert (await worker.token_keys.list(APP, ListTokenKeys()))["items"] == []
    assert [ending.tenant for ending in worker.announced if ending.look] == ["t1"]
    back = (await worker.token_keys.create(APP, CreateTokenKey(pem(ED))))["key"]
    assert back["id"] != made["id"]


async def test_an_application_registers_ten_at_most(worker):
    for _ in range(10):
        await worker.token_keys.create(APP, CreateTokenKey(pem(Ed25519PrivateKey.generate())))
    assert (await refused(worker.token_keys.create(APP, CreateTokenKey(pem(ED)))))[0] == "too_many"
    await worker.token_keys.create(OTHER, CreateTokenKey(pem(ED)))


async def test_only_the_public_half_is_stored_and_its_use_is_noted_each_minute(worker):
    key = (await worker.token_keys.create(APP, CreateTokenKey(pem(ED))))["key"]["id"]
    stored = await worker.documents.get(SYSTEM, "token_keys", key)
    assert ED.private_bytes_raw() not in stored.doc["public"]
    begun = worker.clock.ms
    for later in (0, 59_000, 60_000):
        worker.clock.ms = begun + later
        await worker.sibling().token_keys.find(key)
    assert (await worker.token_keys.list(APP, ListTokenKeys()))["items"][0]["last_used_at"] == begun + 60_000
    assert (await worker.documents.get(SYSTEM, "token_keys", key)).place.offset == stored.place.offset + 2
