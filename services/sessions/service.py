"""The verbs of sessions: create, refresh, revoke. Who a token speaks for is the gate's to say (`gate.py`).

Ending a session deletes its document (durable, and it does not come back), then `announce` tells every worker, which tells its gate
and closes connections.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Any

import msgspec

from protocol.errors import Refused
from protocol.ids import is_user_id
from protocol.world import Clock, Rng
from services.api_keys import ApiKeys
from services.chance import base32
from services.scope import Scope
from services.sessions.chain import RefreshToken, parse_refresh
from services.sessions.gate import SESSIONS, Gate
from services.sessions.model import GRACE_MS, SESSION_MS, TOKEN_MS, Claims, CreateSession, Ending, Session
from services.sessions.signed import SignedTokens
from services.sessions.signing import Signers
from services.sessions.validity import Validity
from services.tenants import Tenants
from services.token_keys import TokenKeys
from services.users.rules import check_profile
from services.users.service import Users
from services.vault import Vault
from storage.ports.documents import Documents, version
from storage.ports.entry import Place

Announce = Callable[[Ending], None]
"""Tell every worker, this one too, what has ended. Must not wait."""

_PAGE = 100
_ENDED = Place(1, 0, 0)
"""Later than every version number."""


class Sessions:
    """Sessions of every application."""

    def __init__(self, documents: Documents, users: Users, api_keys: ApiKeys, token_keys: TokenKeys, vault: Vault, tenants: Tenants,
                 clock: Clock, rng: Rng, announce: Announce) -> None:
        self._documents, self._users, self._api_keys, self._signers = documents, users, api_keys, Signers(documents, vault)
        self._vault, self._tenants, self._clock, self._rng, self._announce = vault, tenants, clock, rng, announce
        self.validity = Validity(documents, clock)
        self.gate = Gate(documents, self._signers, SignedTokens(token_keys, users, self.validity), self.validity, tenants, clock)
        self.authenticate_token = self.gate.authenticate

    async def create(self, scope: Scope, p: CreateSession) -> dict[str, Any]:
        """A new session for a user, who is created or changed by what is given."""
        if not scope.is_application:
            raise Refused("forbidden", "Only the application itself makes sessions: use its secret key, without `CAAS-User`.")
        check_profile(p.user, "user")
        internal, user = await self._users.ensure(scope, p.user)
        await self._prune(scope, internal)
        now = max(self._clock.now_ms(), await self.validity.of_application(scope.tenant) + 1)
        first = RefreshToken(scope.tenant, "s" + base32(self._rng.bytes(20)), 0, self._rng.bytes(32))
        session = Session(internal, user.external_id, now, 0, first.hashed(), now)
        await self._documents.put(scope, SESSIONS, first.session, msgspec.structs.asdict(session), version(1))
        return await self._answer(first, session, user.shown())

    async def refresh(self, refresh_token: str, idempotency_key: str | None = None) -> dict[str, Any]:
        """A fresh token, and the next refresh token; the old one dies. Used once more after the grace, it ends the session.

        Within the grace a repeat under the same key gets the same answer. Raises Refused `token_invalid`.
        """
        asked = sha256(idempotency_key.encode()).digest() if idempotency_key else b""
        shown = parse_refresh(refresh_token)
        if shown is None:
            raise _over()
        scope = Scope(shown.tenant)
        key = await self._refresh_key(scope, shown)
        while True:
            held = await self._documents.get(scope, SESSIONS, shown.session)
            session = None if held is None else msgspec.convert(held.doc, Session)
            if held is None or session is None or not shown.leads_to(session.number, session.refresh, key):
                raise _over()
            if session.created_at + SESSION_MS <= self._clock.now_ms() or session.created_at <= await self.validity.of_application(scope.tenant):
                raise _over()
            if shown.number == session.number and (session := await self._rotate(scope, shown, session, key, asked, held.place.offset)) is None:
                continue  # somebody else used it just now: look again
            if shown.number == held.doc["number"] or await self._is_repeat(scope, shown, session, asked):
                return await self._refreshed(scope, shown, session, key)
            raise _over()

    async def revoke(self, scope: Scope, session: str) -> None:
        """End a session: the application any, a user their own. Raises Refused `not_found`."""
        held = await self._documents.get(scope, SESSIONS, session)
        if held is None or (scope.user and held.doc["user"] != scope.user):
            raise Refused("not_found", "There is no such session.")
        await self._end(scope, [session], "revoked")

    async def revoke_user(self, scope: Scope, external: str) -> None:
        """End every session of a user: the application anybody's, a user their own. Raises Refused."""
        if scope.user and scope.external != external:
            raise Refused("forbidden", "Only the application, or the user, may end a user's sessions.")
        found = await self._users.of_external(scope, [external]) if is_user_id(external) else {}
        if external not in found:
            raise Refused("not_found", f"There is no user `{external[:128]}`.", field="user")
        moment = await self.validity.end_user(scope.tenant, found[external])
        self._announce(Ending(scope.tenant, "revoked", user=found[external], until_ms=moment))
        while held := await self._documents.find(scope, SESSIONS, "of_user", (found[external],), limit=_PAGE):
            await self._end(scope, [one.key for one in held], "revoked")

    async def revoke_everybody(self, scope: Scope) -> None:
        """End every session of the application, and every token that it signed by itself until now. Raises Refused."""
        if not scope.is_application:
            raise Refused("forbidden", "Only the application itself ends everybody's sessions: use its secret key, without `CAAS-User`.")
        moment = await self.validity.end_application(scope.tenant)
        self._announce(Ending(scope.tenant, "revoked", until_ms=moment, look=True))

    async def authenticate_key(self, key: str, acting_for: str | None, peer: str) -> Scope:
        """Who a secret key speaks for: the application, or (`acting_for`) one of its users. Raises Refused: `token_invalid`, `not_found`."""
        scope = Scope(await self._api_keys.authenticate(key, peer), by_key=True)
        await self._tenants.ready(scope.tenant)
        if acting_for is None:
            return scope
        found = await self._users.of_external(scope, [acting_for]) if is_user_id(acting_for) else {}
        if acting_for not in found:
            raise Refused("not_found", "There is no such user: create the user's session first.", field="CAAS-User")
        return Scope(scope.tenant, found[acting_for], acting_for, by_key=True)

    async def _refresh_key(self, scope: Scope, shown: RefreshToken) -> bytes:
        """The key of the chain; only of an application that has this session, so that nobody can have keys made for names."""
        if await self._documents.get(scope, SESSIONS, shown.session) is None:
            raise _over()
        return await self._vault.secret(scope.tenant, "~refresh")

    async def _rotate(self, scope: Scope, shown: RefreshToken, session: Session, key: bytes, asked: bytes, number: int) -> Session | None:
        """The session with the next refresh token; None when somebody else changed it meanwhile."""
        after = shown.next(key)
        rotated = msgspec.structs.replace(session, number=after.number, refresh=after.hashed(), refreshed_at=self._clock.now_ms(), asked=asked)
        put = await self._documents.put(scope, SESSIONS, shown.session, msgspec.structs.asdict(rotated), version(number + 1))
        return rotated if put else None

    async def _is_repeat(self, scope: Scope, shown: RefreshToken, session: Session, asked: bytes) -> bool:
        """Whether a token that was used already may be answered again. Too late, or behind its successor's back, it ends the session."""
        if shown.number + 1 != session.number or self._clock.now_ms() - session.refreshed_at > GRACE_MS:
            await self._end(scope, [shown.session], "refresh_reused")
            return False
        return bool(asked) and compare_digest(asked, session.asked)

    async def _refreshed(self, scope: Scope, shown: RefreshToken, session: Session, key: bytes) -> dict[str, Any]:
        """The answer to a token whose successor is the newest."""
        people = await self._users.of_internal(scope, [session.user])
        if session.user not in people:
            raise _over()
        return await self._answer(shown.next(key), session, people[session.user])

    async def _answer(self, token: RefreshToken, session: Session, user: dict[str, Any]) -> dict[str, Any]:
        since = session.refreshed_at
        claims = Claims(token.tenant, session.user, session.external, token.session, since, min(since + TOKEN_MS, session.created_at + SESSION_MS))
        signed = await self._signers.sign(claims, f"{token.session}.{token.number}")
        return {"token": signed, "refresh_token": token.text(), "expires_at": claims.until_ms // 1000 * 1000, "user": user}

    async def _prune(self, scope: Scope, user: str) -> None:
        """Forget a user's sessions that nobody can refresh any more."""
        latest = self._clock.now_ms() - SESSION_MS
        for held in await self._documents.find(scope, SESSIONS, "of_user", (user,), limit=_PAGE):
            if held.doc["created_at"] <= latest:
                await self._documents.delete(scope, SESSIONS, held.key, _ENDED)

    async def _end(self, scope: Scope, sessions: Sequence[str], reason: str) -> None:
        ended: list[str] = []
        try:
            for session in sessions:
                await self._documents.delete(scope, SESSIONS, session, _ENDED)
                ended.append(session)
        finally:  # storage may fail, or whoever asked may give up, in the middle: those that have ended are told of, and the rest looked for
            self._announce(Ending(scope.tenant, reason, ended, look=len(ended) < len(sessions)))


def _over() -> Refused:
    return Refused("token_invalid", "This refresh token is not valid, or its session has ended: create a new session.")
