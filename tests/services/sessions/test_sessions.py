"""Sessions: made, refreshed, revoked; and no other token gets in."""

import pytest
import trio

from protocol.errors import Refused
from services.scope import Scope
from services.sessions import CreateSession, Ending
from services.sessions.chain import parse_refresh
from services.sessions.model import GRACE_MS, SESSION_MS, TOKEN_MS
from services.users import Profile
from storage.ports.errors import StorageFull

APP = Scope("t1")


async def refused(awaitable) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code


def alice(**fields) -> CreateSession:
    return CreateSession(Profile("alice", **fields))


async def authenticated(worker, token) -> Scope:
    return (await worker.sessions.authenticate_token(token)).scope


async def test_a_session_lets_its_user_in_on_every_worker(worker):
    made = await worker.sessions.create(APP, alice(display_name="Alice"))
    assert made["user"] == {"id": "alice", "display_name": "Alice"}
    assert made["expires_at"] == worker.clock.ms + TOKEN_MS
    scope, expires = await worker.sibling().sessions.authenticate_token(made["token"])
    assert (scope.tenant, scope.external, expires) == ("t1", "alice", made["expires_at"])
    assert scope.user == (await worker.users.of_external(APP, ["alice"]))["alice"]
    assert parse_refresh(made["refresh_token"]).session == scope.session
    worker.tenants.known("t1")  # whoever has a scope has made its tenant ready


async def test_only_the_application_makes_sessions(worker):
    assert await refused(worker.sessions.create(Scope("t1", "u1", "alice"), alice())) == "forbidden"


async def test_a_user_that_cannot_be_is_refused(worker):
    assert await refused(worker.sessions.create(APP, CreateSession(Profile("me")))) == "bad_request"


async def test_a_token_expires_by_our_clock(worker):
    made = await worker.sessions.create(APP, alice())
    worker.clock.ms = made["expires_at"] - 1
    await authenticated(worker, made["token"])
    worker.clock.ms += 1
    assert await refused(authenticated(worker, made["token"])) == "token_expired"
    assert await refused(authenticated(worker.sibling(), made["token"])) == "token_expired"


async def test_a_token_from_a_clock_a_minute_ahead_is_taken_and_no_later_one(worker):
    made = await worker.sessions.create(APP, alice())
    worker.clock.ms -= 60_000
    await authenticated(worker, made["token"])
    worker.clock.ms -= 1_000
    assert await refused(authenticated(worker, made["token"])) == "token_invalid"


async def test_refreshing_gives_new_tokens_and_the_old_one_dies_with_the_family_after_the_grace(worker):
    made = await worker.sessions.create(APP, alice())
    worker.clock.ms += 1_000
    fresh = await worker.sessions.refresh(made["refresh_token"])
    assert fresh["refresh_token"] != made["refresh_token"]
    assert fresh["expires_at"] == worker.clock.ms + TOKEN_MS
    assert fresh["user"] == made["user"]
    await authenticated(worker, fresh["token"])
    worker.clock.ms += GRACE_MS + 1
    assert await refused(worker.sessions.refresh(made["refresh_token"])) == "token_invalid"
    session = parse_refresh(made["refresh_token"]).session
    assert worker.ended == [("t1", [session], "refresh_reused")]
    for token in (made["token"], fresh["token"]):
        assert await refused(authenticated(worker, token)) == "token_invalid"
    assert await refused(worker.sessions.refresh(fresh["refresh_token"])) == "token_invalid"


async def test_within_the_grace_the_same_old_token_gets_the_same_answer_under_the_same_key_on_any_worker(worker):
    made = await worker.sessions.create(APP, alice())
    worker.clock.ms += 500
    first = await worker.sessions.refresh(made["refresh_token"], "k1")
    worker.clock.ms += GRACE_MS
    assert await worker.sibling().sessions.refresh(made["refresh_token"], "k1") == first
    assert worker.announced == []


async def test_within_the_grace_the_old_token_is_dead_without_that_key_and_the_session_lives_on(worker):
    made = await worker.sessions.create(APP, alice())
    for key in ("k1", None):
        fresh = await worker.sessions.refresh(made["refresh_token"], key)
        for other in ("k2", "", None):
            assert await refused(worker.sessions.refresh(made["refresh_token"], other)) == "token_invalid"
        await authenticated(worker, fresh["token"])
        made = fresh
    assert worker.announced == []


async def test_a_clock_that_is_a_little_behind_is_no_theft(worker):
    made = await worker.sessions.create(APP, alice())
    first = await worker.sessions.refresh(made["refresh_token"], "k1")
    worker.clock.ms -= 3_000
    assert await worker.sessions.refresh(made["refresh_token"], "k1") == first


async def test_an_old_token_whose_successor_was_used_is_theft_even_within_the_grace(worker):
    made = await worker.sessions.create(APP, alice())
    second = await worker.sessions.refresh(made["refresh_token"])
    await worker.sessions.refresh(second["refresh_token"])
    assert await refused(worker.sessions.refresh(made["refresh_token"])) == "token_invalid"
    assert len(worker.announced) == 1


async def test_many_refreshes_at_once_on_many_workers_give_one_answer(worker):
    made = await worker.sessions.create(APP, alice())
    answers = []

    async def refresh(one):
        answers.append(await one.sessions.refresh(made["refresh_token"], "k1"))

    async with trio.open_nursery() as nursery:
        for seed in range(2, 10):
            nursery.start_soon(refresh, worker.sibling(seed))
    assert len(answers) == 8
    assert all(answer == answers[0] for answer in answers)
    assert worker.announced == []
    await worker.sessions.refresh(answers[0]["refresh_token"])


async def test_a_made_up_refresh_token_neither_gets_in_nor_ends_a_session(worker):
    made = await worker.sessions.create(APP, alice())
    await worker.sessions.refresh(made["refresh_token"])
    real = parse_refresh(made["refresh_token"])
    for number in (0, 1, 2, 999_999_999):
        forged = real._replace(number=number, secret=bytes(32))
        assert await refused(worker.sessions.refresh(forged.text())) == "token_invalid"
    for text in ("", "x", "caas_rt.t1.x.0." + "A" * 43, "caas_rt.other." + made["refresh_token"].split(".", 2)[2], made["refresh_token"] + "A"):
        assert await refused(worker.sessions.refresh(text)) == "token_invalid"
    assert worker.announced == []
    await authenticated(worker, made["token"])


async def test_a_session_ends_seven_days_after_it_was_made_however_often_refreshed(worker):
    made = await worker.sessions.create(APP, alice())
    begun = worker.clock.ms
    worker.clock.ms = begun + SESSION_MS - 60_000
    fresh = await worker.sessions.refresh(made["refresh_token"])
    assert fresh["expires_at"] == begun + SESSION_MS
    worker.clock.ms = begun + SESSION_MS
    assert await refused(worker.sessions.refresh(fresh["refresh_token"])) == "token_invalid"
    assert await refused(authenticated(worker, fresh["token"])) == "token_expired"


async def test_sessions_nobody_can_refresh_are_forgotten_when_the_next_is_made(worker):
    await worker.sessions.create(APP, alice())
    worker.clock.ms += SESSION_MS
    made = await worker.sessions.create(APP, alice())
    user = (await worker.users.of_external(APP, ["alice"]))["alice"]
    kept = await worker.documents.find(APP, "sessions", "of_user", (user,))
    assert [held.key for held in kept] == [parse_refresh(made["refresh_token"]).session]


async def test_no_secret_of_a_session_is_stored(worker):
    made = await worker.sessions.create(APP, alice())
    token = parse_refresh(made["refresh_token"])
    held = await worker.documents.get(APP, "sessions", token.session)
    assert token.secret not in held.doc.values()
    assert held.doc["refresh"] == token.hashed()


async def test_a_revoked_session_is_refused_everywhere_and_after_a_restart(worker):
    made = await worker.sessions.create(APP, alice())
    other = worker.sibling()
    scope = await authenticated(other, made["token"])
    await worker.sessions.revoke(APP, scope.session)
    assert worker.ended == [("t1", [scope.session], "revoked")]
    assert await refused(authenticated(worker, made["token"])) == "token_invalid"
    other.sessions.gate.ended(worker.announced[0])
    assert await refused(authenticated(other, made["token"])) == "token_invalid"
    later = worker.sibling(3)
    assert await refused(authenticated(later, made["token"])) == "token_invalid"
    assert await refused(later.sessions.refresh(made["refresh_token"])) == "token_invalid"


async def test_a_worker_that_was_not_told_notices_within_a_second(worker):
    made = await worker.sessions.create(APP, alice())
    other = worker.sibling()
    scope = await authenticated(other, made["token"])
    await worker.sessions.revoke(APP, scope.session)
    worker.clock.ms += 1_000
    assert await refused(authenticated(other, made["token"])) == "token_invalid"


async def test_a_session_that_ends_while_it_is_looked_at_is_refused(worker):
    """Told of the end between asking storage and its answer: the old answer must not count, nor be remembered."""
    made = await worker.sessions.create(APP, alice())
    session = parse_refresh(made["refresh_token"]).session
    outcomes = []

    async def authenticate():
        outcomes.append(await refused(authenticated(worker, made["token"])))

    get = worker.documents.get

    async def slow_get(scope, collection, key):
        held = await get(scope, collection, key)
        if collection == "sessions":
            worker.sessions.gate.ended(Ending("t1", "revoked", [session]))
        return held

    worker.documents.get = slow_get
    await authenticate()
    assert outcomes == ["token_invalid"]


async def test_a_worker_that_missed_the_news_can_ask_which_are_gone(worker):
    many = [parse_refresh((await worker.sessions.create(APP, alice()))["refresh_token"]).session for _ in range(250)]
    for session in (many[3], many[249]):
        await worker.sessions.revoke(APP, session)
    user = (await worker.users.of_external(APP, ["alice"]))["alice"]
    connected = [Scope("t1", user, "alice", session) for session in many]
    assert await worker.sibling().sessions.gate.gone("t1", connected) == [many[3], many[249]]
    assert await worker.sibling().sessions.gate.gone("t2", connected[:2]) == many[:2]


async def test_a_user_ends_their_own_sessions_and_nobody_elses(worker):
    made, bob = await worker.sessions.create(APP, alice()), await worker.sessions.create(APP, CreateSession(Profile("bob")))
    scope, bobs = await authenticated(worker, made["token"]), await authenticated(worker, bob["token"])
    assert await refused(worker.sessions.revoke(bobs, scope.session)) == "not_found"
    assert await refused(worker.sessions.revoke(Scope("t2"), scope.session)) == "not_found"
    assert await refused(worker.sessions.revoke_user(bobs, "alice")) == "forbidden"
    await authenticated(worker, made["token"])
    await worker.sessions.revoke(scope, scope.session)
    assert await refused(authenticated(worker, made["token"])) == "token_invalid"
    await authenticated(worker, bob["token"])


async def test_all_sessions_of_a_user_are_ended_at_once(worker):
    many = [await worker.sessions.create(APP, alice()) for _ in range(120)]
    bob = await worker.sessions.create(APP, CreateSession(Profile("bob")))
    await worker.sessions.revoke_user(APP, "alice")
    assert sum(len(sessions) for _, sessions, _ in worker.ended) == 120
    for made in many:
        assert await refused(authenticated(worker.sibling(), made["token"])) == "token_invalid"
    await authenticated(worker, bob["token"])
    for unknown in ("nobody", "a/b", ""):
        assert await refused(worker.sessions.revoke_user(APP, unknown)) == "not_found"


async def test_a_secret_key_acts_as_the_application_or_for_one_of_its_own_users(worker):
    shop, other = await worker.applications.create("Shop"), await worker.applications.create("Other")
    key, others = await worker.api_keys.create(shop), await worker.api_keys.create(other)
    internal, _ = await worker.users.ensure(Scope(shop.id), Profile("alice"))
    assert await worker.sessions.authenticate_key(key, None, "10.0.0.1") == Scope(shop.id, by_key=True)
    assert await worker.sessions.authenticate_key(key, "alice", "10.0.0.1") == Scope(shop.id, internal, "alice", by_key=True)
    for unknown in ("bob", "me", "", "a\0b"):
        assert await refused(worker.sessions.authenticate_key(key, unknown, "10.0.0.1")) == "not_found"
    assert await refused(worker.sessions.authenticate_key(others, "alice", "10.0.0.1")) == "not_found"


async def test_checking_a_token_again_asks_neither_the_signature_nor_storage(worker):
    made = await worker.sessions.create(APP, alice())
    await authenticated(worker, made["token"])

    async def never(*_):
        raise AssertionError("asked storage")

    worker.documents.get = never
    await authenticated(worker, made["token"])


async def test_what_had_ended_before_storage_failed_is_told_and_the_rest_is_looked_for(worker):
    class FullAfterTwo:
        """The documents, on a disk that has room for two more writes."""

        def __init__(self, documents):
            self._documents, self._room = documents, 2

        def __getattr__(self, name):
            return getattr(self._documents, name)

        async def delete(self, *args):
            self._room -= 1
            if self._room < 0:
                raise StorageFull("no room")
            return await self._documents.delete(*args)

    many = [await worker.sessions.create(APP, alice()) for _ in range(4)]
    worker.sessions._documents = FullAfterTwo(worker.documents)
    with pytest.raises(StorageFull):
        await worker.sessions.revoke_user(APP, "alice")
    [(_, ended, reason)] = worker.ended
    assert (len(ended), reason) == (2, "revoked")
    assert worker.announced[-1].look
    sessions = [parse_refresh(made["refresh_token"]).session for made in many]
    assert sorted(await worker.sessions.gate.gone(APP.tenant, [Scope(APP.tenant, "u", "alice", session) for session in sessions])) == sorted(ended)
