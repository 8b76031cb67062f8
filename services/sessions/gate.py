"""The gate: who a user token speaks for, and whether it still counts.

A token of ours (`signing.py`) stands for a session, whose document says whether it counts. A token that a company signed by itself
(`signed.py`) has no document: it counts while its key is registered and nobody ended what had been issued by then (`validity.py`).
Each of these is looked at for every hello and every REST call, unless it was less than a second ago.
"""

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from protocol.errors import Refused
from protocol.world import Clock
from services.recent import Recent
from services.scope import Scope
from services.sessions.company import Signed, is_signed_by_company, key_of, parse_session
from services.sessions.model import AHEAD_MS, Authenticated, Claims, Ending, Session
from services.sessions.signed import SignedTokens
from services.sessions.signing import Signers, check_size, decode_header
from services.sessions.validity import Validity
from services.tenants import Tenants
from services.token_keys.service import PREFIX
from storage.ports.documents import Documents

SESSIONS = "sessions"

_TRUSTED_MS = 1_000
_MOST_TOKENS, _MOST_SESSIONS = 50_000, 100_000
_PAGE = 100
_OVER = (-1, 0)


class Gate:
    """Lets users of every application in."""

    def __init__(self, documents: Documents, signers: Signers, signed: SignedTokens, validity: Validity, tenants: Tenants, clock: Clock) -> None:
        self._documents, self._signers, self._signed = documents, signers, signed
        self._validity, self._tenants, self._clock = validity, tenants, clock
        self._tokens: Recent[bytes, Claims | Signed] = Recent(_MOST_TOKENS)  # verified: checking a signature takes 100 us
        self._alive: Recent[tuple[str, str], tuple[int, int]] = Recent(_MOST_SESSIONS)  # when it was last seen alive (ms), when it was made
        self._looked: dict[str, int] = {}

    async def authenticate(self, token: str) -> Authenticated:
        """Who a user token speaks for. Raises Refused: `token_invalid`, `token_expired`."""
        claims = await self._verified(token)
        now = self._clock.now_ms()
        if claims.until_ms <= now:
            raise Refused("token_expired", "The token has expired: refresh the session, or sign a new one.")
        if claims.from_ms > now + AHEAD_MS:
            raise Refused("token_invalid", "The token is not valid yet.")
        await self._tenants.ready(claims.tenant)
        if isinstance(claims, Signed):
            return Authenticated(await self._signed.scope(claims), claims.until_ms)
        if not await self._is_alive(claims, now):
            raise Refused("token_invalid", "The session has ended: create a new one.")
        return Authenticated(Scope(claims.tenant, claims.user, claims.external, claims.session), claims.until_ms)

    def ended(self, ending: Ending) -> None:
        """Some worker ended these: refuse them from now on without looking."""
        for session in ending.sessions:
            self._alive.put((ending.tenant, session), _OVER)
        if ending.until_ms:
            self._validity.learn(ending.tenant, ending.user, ending.until_ms)

    async def gone(self, tenant: str, connected: Sequence[Scope]) -> list[str]:
        """Those of the sessions of these scopes, all of one tenant, that have ended, as storage has it now."""
        after = (await self._validity.of_applications([tenant]))[tenant]
        signed = {scope.session: scope.user for scope in connected if parse_session(scope.session)}
        ours = [scope.session for scope in connected if scope.session not in signed]
        over = await self._signed.gone(tenant, signed)
        for start in range(0, len(ours), _PAGE):
            page = ours[start:start + _PAGE]
            found = await self._documents.get_many(Scope(tenant), SESSIONS, page)
            over += [session for session in page if session not in found or found[session].doc["created_at"] <= after]
        return over

    async def unsettled(self, connected: Sequence[Scope]) -> set[str]:
        """The tenants of which a key, or what everybody had been given, has ended since this was asked last, whoever ended it.

        Two small reads, made twice a second: what tells of it at once may be lost, and the command line tells nobody.
        """
        keys = {key_of(scope.session): scope.tenant for scope in connected if scope.session.startswith(PREFIX)}
        missing = await self._signed.missing(set(keys))
        before, self._looked = self._looked, await self._validity.of_applications(list({scope.tenant for scope in connected}))
        return {keys[key] for key in missing} | {tenant for tenant, moment in self._looked.items() if moment > before.get(tenant, 0)}

    async def _verified(self, token: str) -> Claims | Signed:
        check_size(token)
        digest = blake2b(token.encode(errors="replace"), digest_size=16).digest()
        if (claims := self._tokens.get(digest)) is None:
            header = decode_header(token)
            claims = await (self._signed.read(token, header, digest) if is_signed_by_company(header) else self._signers.verify(token))
            self._tokens.put(digest, claims)
        return claims

    async def _is_alive(self, claims: Claims, now: int) -> bool:
        key = claims.tenant, claims.session
        after = await self._validity.of_application(claims.tenant)
        seen = self._alive.get(key)
        if seen is not None and (seen == _OVER or 0 <= now - seen[0] < _TRUSTED_MS):
            return seen != _OVER and seen[1] > after
        held = await self._documents.get(Scope(claims.tenant), SESSIONS, claims.session)
        if held is None or held.doc["user"] != claims.user or self._alive.get(key) == _OVER:  # it may have ended while we read
            return False
        session = msgspec.convert(held.doc, Session)
        self._alive.put(key, (now, session.created_at))
        return session.created_at > after


def covers(ending: Ending, scope: Scope) -> bool:
    """Whether what this scope stands on has ended with this, as far as its name tells."""
    if scope.tenant != ending.tenant or not scope.session:
        return False
    signed = parse_session(scope.session)
    return scope.session in ending.sessions or (
        signed is not None and bool(ending.user) and scope.user == ending.user and signed[1] <= ending.until_ms)
