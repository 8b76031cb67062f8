"""Tokens that companies sign by themselves: who gets in by them, when they end, and that no bent one does."""

import base64
import contextlib
import hashlib
import hmac
import json

import msgspec
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import Refused
from services.scope import Scope
from services.sessions import CreateSession
from services.sessions.company import parse_session, read_claims
from services.sessions.gate import covers
from services.token_keys.model import CreateTokenKey, DeleteTokenKey
from services.users import Profile
from services.users.model import Update
from storage.ports.errors import StorageFull
from tests.services.token_keys.keys import Company, b64, new_key, pem

APP, OTHER = Scope("t1"), Scope("t2")


async def registered(worker, tenant="t1", algorithm="EdDSA") -> Company:
    key = new_key(algorithm)
    made = await worker.token_keys.create(Scope(tenant), CreateTokenKey(pem(key)))
    return Company(tenant, made["key"]["id"], key, algorithm, worker.clock)


@pytest.fixture
async def company(worker) -> Company:
    return await registered(worker)


async def scope_of(worker, token) -> Scope:
    return (await worker.sessions.authenticate_token(token)).scope


async def code_of(worker, token) -> str:
    with pytest.raises(Refused) as caught:
        await worker.sessions.authenticate_token(token)
    assert caught.value.message
    return caught.value.code


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
async def test_a_token_lets_its_user_in_on_every_worker_who_is_created_the_first_time(worker, algorithm):
    company = await registered(worker, algorithm=algorithm)
    token = company.token(name="Alice", avatar_url="https://x/a.png")
    scope, until = await worker.sessions.authenticate_token(token)
    assert (scope.tenant, scope.external, until) == ("t1", "alice", (worker.clock.ms // 1000 + 3_600) * 1000)
    assert parse_session(scope.session) == (company.kid, worker.clock.ms // 1000 * 1000)
    assert await worker.users.of_internal(APP, [scope.user]) == {
        scope.user: {"id": "alice", "display_name": "Alice", "avatar_url": "https://x/a.png"}}
    assert [act.kind for act in worker.rooms.said] == ["user.created"]
    assert await scope_of(worker.sibling(), token) == scope
    other = await scope_of(worker, company.token(jti="2"))
    assert other.session != scope.session
    assert other == msgspec.structs.replace(scope, session=other.session)


async def test_many_first_tokens_at_once_make_one_user(worker, company):
    found = []

    async def enter(one, number):
        found.append((await scope_of(one, company.token(jti=str(number)))).user)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(enter, worker.sibling(number + 2), number)
    assert len(set(found)) == 1


@pytest.mark.parametrize("header", [{"typ": None}, {"typ": "JWT"}, {"typ": "at+jwt"}])
async def test_the_usual_headers_are_taken(worker, company, header):
    assert (await scope_of(worker, company.token(header))).external == "alice"


@pytest.mark.parametrize("claims", [{"aud": "caas"}, {"aud": ["other", "caas"]}, {"jti": "x"}, {"nbf": 1}, {"extra": {"a": [1]}},
                                    {"exp": 1_790_086_400}, {"iat": 1_790_000_000.5, "exp": 1_790_003_600.25}])
async def test_the_usual_claims_are_taken(worker, company, claims):
    assert (await scope_of(worker, company.token(**claims))).external == "alice"


# What a token says of its user.


async def test_a_newer_token_tells_more_of_the_user_and_an_older_one_undoes_nothing(worker, company):
    old = company.token(name="Alice")
    scope = await scope_of(worker, old)
    worker.clock.ms += 60_000
    await worker.users.update(APP, Update(user="alice", display_name="Alicia"))
    await scope_of(worker.sibling(), old)
    assert (await worker.users.of_internal(APP, [scope.user]))[scope.user]["display_name"] == "Alicia"
    worker.clock.ms += 60_000
    await scope_of(worker, company.token(name="Alice the Third"))
    assert (await worker.users.of_internal(APP, [scope.user]))[scope.user]["display_name"] == "Alice the Third"


async def test_a_full_disk_keeps_no_known_user_out(worker, company):
    await scope_of(worker, company.token())
    worker.clock.ms += 2_000

    async def full(*_):
        raise StorageFull

    worker.documents.put = full
    assert (await scope_of(worker, company.token(name="New"))).external == "alice"


# When they end.


async def test_it_ends_with_its_time(worker, company):
    token = company.token()
    worker.clock.ms += 3_600_000 - 1
    await scope_of(worker, token)
    worker.clock.ms += 1
    assert await code_of(worker, token) == "token_expired"


async def test_ending_a_users_sessions_ends_what_was_signed_before_and_nothing_after(worker, company):
    token, bobs, other = company.token(), company.token(sub="bob"), worker.sibling()
    scope, bob = await scope_of(other, token), await scope_of(other, bobs)
    await worker.sessions.revoke_user(scope, "alice")
    assert await code_of(worker, token) == "token_invalid"
    ending = worker.announced[-1]
    assert covers(ending, scope)
    assert not covers(ending, bob)
    other.sessions.gate.ended(ending)
    assert await code_of(other, token) == "token_invalid"
    assert await code_of(worker.sibling(9), token) == "token_invalid"
    assert (await scope_of(worker, bobs)).external == "bob"
    worker.clock.ms += 1_000
    fresh = await scope_of(worker, company.token())
    assert fresh.user == scope.user
    assert not covers(ending, fresh)


async def test_ending_everybodys_ends_ours_and_theirs_of_that_application_alone(worker, company):
    other = await registered(worker, "t2")
    made = await worker.sessions.create(APP, CreateSession(Profile("bob")))
    theirs, elsewhere, session = company.token(), other.token(), made["token"]
    for token in (theirs, elsewhere, session):
        await scope_of(worker, token)
    with pytest.raises(Refused):
        await worker.sessions.revoke_everybody(await scope_of(worker, theirs))
    await worker.sessions.revoke_everybody(APP)
    for one in (worker, worker.sibling()):
        for token in (theirs, session):
            assert await code_of(one, token) == "token_invalid"
        assert (await scope_of(one, elsewhere)).tenant == "t2"
    with pytest.raises(Refused):
        await worker.sessions.refresh(made["refresh_token"])
    again = await worker.sessions.create(APP, CreateSession(Profile("bob")))
    assert (await scope_of(worker.sibling(), again["token"])).external == "bob"


@pytest.mark.parametrize("how", ["user", "everybody", "key"])
async def test_a_worker_that_was_not_told_notices_within_a_second(worker, company, how):
    token, other = company.token(), worker.sibling()
    scope = await scope_of(other, token)
    if how == "user":
        await worker.sessions.revoke_user(APP, "alice")
    elif how == "everybody":
        await worker.sessions.revoke_everybody(APP)
    else:
        await worker.token_keys.delete(APP, DeleteTokenKey(company.kid))
        assert await code_of(worker, token) == "token_invalid"
    worker.clock.ms += 1_000
    assert await code_of(other, token) == "token_invalid"
    assert await worker.sibling(7).sessions.gate.gone("t1", [scope]) == [scope.session]


async def test_looking_finds_a_deleted_key_and_everybodys_end_once(worker, company):
    gate = worker.sibling().sessions.gate
    second = await registered(worker, "t2")
    scopes = [await scope_of(worker, company.token()), await scope_of(worker, second.token()),
              await scope_of(worker, (await worker.sessions.create(APP, CreateSession(Profile("bob"))))["token"])]
    assert await gate.unsettled(scopes) == set()
    await worker.token_keys.delete(OTHER, DeleteTokenKey(second.kid))
    assert await gate.unsettled(scopes) == {"t2"}
    assert await gate.gone("t2", scopes[1:2]) == [scopes[1].session]
    await worker.sessions.revoke_everybody(APP)
    assert await gate.unsettled([scopes[0], scopes[2]]) == {"t1"}
    assert await gate.gone("t1", [scopes[0], scopes[2]]) == [scopes[0].session, scopes[2].session]
    assert await gate.unsettled([scopes[0], scopes[2]]) == set()


async def test_an_old_answer_never_beats_the_news(worker, company):
    """Told of the end between asking storage and its answer."""
    token = company.token()
    scope = await scope_of(worker, token)
    worker.clock.ms += 2_000
    get = worker.documents.get

    async def slow_get(scope_, collection, key):
        held = await get(scope_, collection, key)
        if collection == "tokens_valid_after" and key == scope.user:
            worker.sessions.validity.learn("t1", scope.user, worker.clock.ms)
        return held

    worker.documents.get = slow_get
    assert await code_of(worker, token) == "token_invalid"


async def test_a_signed_session_has_no_document_that_could_be_ended(worker, company):
    scope = await scope_of(worker, company.token())
    with pytest.raises(Refused) as caught:
        await worker.sessions.revoke(scope, scope.session)
    assert caught.value.code == "not_found"


# What is bent.


@pytest.mark.parametrize("header", [
    {"alg": "none"}, {"alg": "None"}, {"alg": ""}, {"alg": None}, {"alg": "HS256"}, {"alg": "ES256"}, {"alg": "RS256"}, {"alg": "Ed25519"},
    {"crit": ["exp"]}, {"crit": []}, {"jku": "https://evil/"}, {"x5u": "https://evil/"}, {"x5c": ["AA"]}, {"jwk": {"kty": "OKP"}}, {"b64": False},
    {"zip": "DEF"}, {"typ": "rt+jwt"}, {"typ": 7}, {"typ": ["JWT"]}, {"kid": "tk_"}, {"kid": "tk_../../etc/passwd"}, {"kid": "tk_' OR 1=1 --"},
    {"kid": "tk_" + "x" * 1_000}, {"kid": "tk_\0"}, {"kid": "tk_é"},
    {"kid": "tk_\ud800"}, {"kid": "tk_" + "\ud800" * 20}, {"kid": ["tk_"]}, {"kid": None},
])
async def test_a_header_that_asks_for_something_else(worker, company, header):
    assert await code_of(worker, company.token(header)) == "token_invalid"


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
async def test_hmac_with_the_public_key_as_its_secret(worker, algorithm):
    company = await registered(worker, algorithm=algorithm)
    header, payload, _ = company.token({"alg": "HS256"}).split(".")
    secret = pem(company.key).encode()
    for tail in (hmac.new(secret, f"{header}.{payload}".encode(), hashlib.sha256).digest(), b""):
        assert await code_of(worker, f"{header}.{payload}.{b64(tail)}") == "token_invalid"


@pytest.mark.parametrize("claims", [
    {"iss": None}, {"iss": "t2"}, {"iss": "caas"}, {"iss": ["t1"]}, {"iss": 7}, {"sub": None}, {"sub": ""}, {"sub": "me"}, {"sub": "a/b"}, {"sub": 7},
    {"sub": "x" * 129}, {"sub": ["alice"]}, {"aud": "other"}, {"aud": ["other"]}, {"aud": 7}, {"aud": []}, {"iat": None}, {"iat": "1790000000"},
    {"iat": True}, {"iat": -1}, {"iat": 1e300}, {"exp": None}, {"exp": "never"}, {"exp": True}, {"exp": 0}, {"exp": 1_790_000_000},
    {"exp": 1_790_086_401}, {"exp": 1e300}, {"exp": float("inf")}, {"exp": float("nan")}, {"iat": float("nan")}, {"nbf": 1_790_000_061},
    {"nbf": "now"}, {"nbf": False}, {"iat": 1_790_000_061, "exp": 1_790_000_100}, {"jti": 7}, {"name": 7}, {"name": "x" * 257},
    {"name": "\ud800"}, {"sub": "\ud800"}, {"iss": "\ud800"},
    {"avatar_url": "x" * 2_049}, {"avatar_url": {}},
])
async def test_claims_that_cannot_be(worker, company, claims):
    assert await code_of(worker, company.token(**claims)) == "token_invalid"


async def test_a_key_of_somebody_else_or_of_another_application(worker, company):
    other = await registered(worker, "t2")
    assert await code_of(worker, company.token(key=Ed25519PrivateKey.generate())) == "token_invalid"
    assert await code_of(worker, company.token(key=other.key)) == "token_invalid"
    assert await code_of(worker, other.token(iss="t1")) == "token_invalid"
    assert await code_of(worker, company.token({"kid": other.kid})) == "token_invalid"
    assert await code_of(worker, company.token({"kid": other.kid}, key=other.key)) == "token_invalid"


async def test_keys_of_ours_and_of_companies_never_stand_for_each_other(worker, company):
    ours = (await worker.sessions.create(APP, CreateSession(Profile("alice"))))["token"]
    header = json.loads(b64_decoded(ours.split(".")[0]))
    claims = json.loads(b64_decoded(ours.split(".")[1]))
    assert await code_of(worker, company.token(header)) == "token_invalid"
    assert await code_of(worker, company.token({"typ": "at+jwt"}, **claims)) == "token_invalid"


async def test_truncated_swapped_and_oversized(worker, company):
    token = company.token()
    header, payload, signature = token.split(".")
    _, others, _ = company.token(sub="bob").split(".")
    for bent in (token[:-1], token[:-20], f"{header}.{others}.{signature}", f"{header}.{payload}.", f"{header}.{payload}", f"{header}..{signature}",
                 token + "." + signature, token + "A" * 1_000_000, company.token(padding="x" * 4_096)):
        assert await code_of(worker, bent) == "token_invalid"


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.integers(1_789_900_000, 1_790_100_000),
                      lambda inner: st.lists(inner, max_size=3))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["iss", "sub", "iat", "exp", "nbf", "aud", "jti", "name", "avatar_url"]), VALUES).map(
    lambda some: {"iss": "t1", "sub": "alice", "iat": 1_790_000_000, "exp": 1_790_000_900, **some}))
def test_whatever_the_claims_are_they_are_refused_or_mean_what_they_say(payload):
    """Total: nothing but Refused is ever raised, and what is let through is within every bound."""
    signed = None
    with contextlib.suppress(Refused):
        signed = read_claims(payload, "t1", "tk_" + "0" * 20, bytes(16))
    if signed is None:
        return
    assert payload["iss"] == "t1"
    assert signed.profile.external_id == payload["sub"]
    assert 0 < signed.until_ms - signed.issued_ms <= 24 * 3_600_000


def b64_decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
