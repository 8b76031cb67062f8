"""Tokens that somebody else made, or bent: each is refused as `token_invalid`, whatever its header asks for."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.errors import Refused
from services.scope import Scope
from services.sessions import CreateSession
from services.users import Profile

APP, OTHER = Scope("t1"), Scope("t2")


def b64(value) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def code_of(worker, token) -> str:
    with pytest.raises(Refused) as caught:
        await worker.sessions.authenticate_token(token)
    return caught.value.code


class Forge:
    """What an attacker may have: a real token of t1, and (for tests of claims alone) t1's own signing key."""

    def __init__(self, token: str, key: Ed25519PrivateKey) -> None:
        self.token, self.key = token, key
        self.header = jwt.get_unverified_header(token)
        self.payload = jwt.decode(token, options={"verify_signature": False})

    def signed(self, header=None, key=None, **claims) -> str:
        payload = {name: value for name, value in {**self.payload, **claims}.items() if value is not None}
        full = {name: value for name, value in {**self.header, **(header or {})}.items() if value is not None}
        made = f"{b64(full)}.{b64(payload)}"
        return f"{made}.{b64((key or self.key).sign(made.encode()))}"


@pytest.fixture
async def forge(worker) -> Forge:
    made = await worker.sessions.create(APP, CreateSession(Profile("alice")))
    await worker.sessions.create(OTHER, CreateSession(Profile("alice")))
    key = Ed25519PrivateKey.from_private_bytes(await worker.vault.secret("t1", "~signing/1"))
    return Forge(made["token"], key)


async def test_the_forge_itself_makes_good_tokens(worker, forge):
    """Else the tests below would prove nothing."""
    assert (await worker.sessions.authenticate_token(forge.signed())).scope.external == "alice"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
async def test_an_unsigned_token(worker, forge, alg):
    _, payload, signature = forge.token.split(".")
    for tail in ("", signature):
        assert await code_of(worker, f"{b64({**forge.header, 'alg': alg})}.{payload}.{tail}") == "token_invalid"


@pytest.mark.parametrize("encoding", ["raw", "pem", "der"])
async def test_hmac_with_the_public_key_as_its_secret(worker, forge, encoding):
    public = forge.key.public_key()
    secret = {"raw": public.public_bytes(Encoding.Raw, PublicFormat.Raw), "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
              "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}[encoding]
    made = f"{b64({**forge.header, 'alg': 'HS256'})}.{b64(forge.payload)}"
    token = f"{made}.{b64(hmac.new(secret, made.encode(), hashlib.sha256).digest())}"
    assert await code_of(worker, token) == "token_invalid"


@pytest.mark.parametrize("kid", [None, "", "../../etc/passwd", "' OR 1=1 --", "x" * 33, "x\0", 7, ["a"], {"a": 1}, "unknown", "é"])
async def test_a_key_id_that_is_not_ours(worker, forge, kid):
    assert await code_of(worker, forge.signed({"kid": kid})) == "token_invalid"


async def test_a_key_of_somebody_else(worker, forge):
    assert await code_of(worker, forge.signed(key=Ed25519PrivateKey.generate())) == "token_invalid"


@pytest.mark.parametrize("header", [
    {"typ": "JWT"}, {"typ": None}, {"typ": "rt+jwt"}, {"crit": ["exp"]}, {"crit": []}, {"jku": "https://evil/"}, {"x5u": "https://evil/"},
    {"jwk": {"kty": "OKP"}}, {"alg": "ES256"}, {"alg": None}, {"b64": False},
])
async def test_a_header_that_asks_for_something_else(worker, forge, header):
    assert await code_of(worker, forge.signed(header)) == "token_invalid"


@pytest.mark.parametrize("claims", [
    {"aud": "t2"}, {"aud": ["t1", "t2"]}, {"aud": None}, {"iss": "evil"}, {"iss": None}, {"tid": "t2"}, {"tid": None}, {"sid": "snone"},
    {"sid": None}, {"sid": 7}, {"sub": None}, {"sub": 7}, {"uid": "uother"}, {"uid": None}, {"uid": ""}, {"jti": None}, {"exp": None},
    {"exp": "never"}, {"exp": 1e400}, {"exp": True}, {"exp": 9e9}, {"nbf": None}, {"nbf": "1"}, {"iat": None},
])
async def test_claims_that_are_not_those_of_a_session_of_this_application(worker, forge, claims):
    assert await code_of(worker, forge.signed(**claims)) == "token_invalid"


async def test_a_key_of_one_application_signs_nothing_for_another(worker, forge):
    assert await code_of(worker, forge.signed(aud="t2", tid="t2")) == "token_invalid"
    other = jwt.get_unverified_header((await worker.sessions.create(OTHER, CreateSession(Profile("bob"))))["token"])["kid"]
    assert await code_of(worker, forge.signed({"kid": other}, aud="t2", tid="t2")) == "token_invalid"


async def test_expired_is_said_as_such_and_the_future_is_not_taken(worker, forge):
    now = worker.clock.ms // 1000
    assert await code_of(worker, forge.signed(exp=now)) == "token_expired"
    assert await code_of(worker, forge.signed(nbf=now + 61, exp=now + 900)) == "token_invalid"


@pytest.mark.parametrize("bent", ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "\x00.\x00.\x00", "é.é.é", "\ud800.a.b", "[]", "caas_sk_dev"])
async def test_what_is_no_token_at_all(worker, bent):
    assert await code_of(worker, bent) == "token_invalid"


async def test_truncated_and_bent_tokens(worker, forge):
    for cut in (1, 10, 60, len(forge.token) // 2):
        assert await code_of(worker, forge.token[:-cut]) == "token_invalid"
    header, payload, signature = forge.token.split(".")
    assert await code_of(worker, f"{header}.{b64({**forge.payload, 'uid': 'uother'})}.{signature}") == "token_invalid"
    for nested in (b"[" * 1000, b"{" * 1000, b"null", b"[1]", b"\xff"):
        assert await code_of(worker, f"{b64(nested)}.{payload}.{signature}") == "token_invalid"
        assert await code_of(worker, f"{header}.{b64(nested)}.{signature}") == "token_invalid"


async def test_a_claim_said_twice_counts_as_signed_and_never_mixes(worker, forge):
    """A parser that took the first and another the last would disagree: ours is the only one, and only we sign."""
    doubled = json.dumps(forge.payload)[:-1] + ', "tid": "t2"}'
    made = f"{b64(forge.header)}.{b64(doubled.encode())}"
    assert await code_of(worker, f"{made}.{b64(forge.key.sign(made.encode()))}") == "token_invalid"


async def test_a_token_of_a_megabyte_is_refused_unread(worker, forge):
    assert await code_of(worker, forge.token + "A" * 1_000_000) == "token_invalid"
    assert await code_of(worker, forge.signed(padding="x" * 4_096)) == "token_invalid"
    assert len(forge.token) < 1_024


async def test_longest_names_still_make_a_token_that_fits(worker):
    made = await worker.sessions.create(APP, CreateSession(Profile("x" * 128)))
    assert (await worker.sessions.authenticate_token(made["token"])).scope.external == "x" * 128
