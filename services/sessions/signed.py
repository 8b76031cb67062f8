"""Tokens that companies sign by themselves: verified with the key that was registered, and whom they let in.

A user who does not exist is created the first time such a token is shown. What the token says of the user (`name`, `avatar_url`) is
taken when it was issued after the user's last change, so that an old token undoes nothing.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import jwt

from protocol.errors import Refused
from services.recent import Recent
from services.scope import Scope
from services.sessions.company import TYPES, Signed, is_key, parse_session, read_claims, wrong
from services.sessions.signing import NOT_TAKEN
from services.sessions.validity import Validity
from services.token_keys import Registered, TokenKeys
from services.users.service import Users
from storage.ports.errors import StorageError

_MOST_CACHED = 50_000
# Every claim is looked at in company.py, with a sentence for whoever signs.
_OPTIONS: Any = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}


class SignedTokens:
    """What a worker needs to let the holders of such tokens in."""

    def __init__(self, keys: TokenKeys, users: Users, validity: Validity) -> None:
        self._keys, self._users, self._validity = keys, users, validity
        self._taken: Recent[str, bool] = Recent(_MOST_CACHED)  # sessions whose word on the user was taken

    async def read(self, token: str, header: Mapping[str, Any], digest: bytes) -> Signed:
        """What a token says, if the key that its header names signed it. Raises Refused `token_invalid`."""
        if NOT_TAKEN & header.keys() or header.get("typ") not in TYPES:
            raise wrong("its header asks for what is not done here: send `alg`, `kid` and no more than `typ: JWT`.")
        key = await self._key(header["kid"])
        if header.get("alg") != key.algorithm:
            raise wrong(f"its key is for {key.algorithm}, and its `alg` says otherwise.")
        try:
            payload = jwt.decode(token, key.key, [key.algorithm], options=_OPTIONS)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise wrong("it was not signed by the key that its `kid` names.") from error
        return read_claims(payload, key.application, header["kid"], digest)

    async def scope(self, signed: Signed) -> Scope:
        """Whom a token lets in that was read, if it still counts. Raises Refused `token_invalid`."""
        await self._key(signed.key)
        scope, name = Scope(signed.tenant), signed.profile.external_id
        known = (await self._users.of_external(scope, [name])).get(name, "")
        if signed.issued_ms <= await self._ended(signed.tenant, known):
            raise wrong("tokens issued by then were ended: sign a new one.")
        user = known or (await self._users.ensure(scope, signed.profile))[0]
        await self._take(scope, signed, user)
        return Scope(signed.tenant, user, name, signed.session)

    async def gone(self, tenant: str, connected: Mapping[str, str]) -> list[str]:
        """Those of these sessions (each with its user) that count no more."""
        found = {session: parsed for session in connected if (parsed := parse_session(session))}
        missing = await self.missing({key for key, _ in found.values()})
        return [session for session, (key, issued) in found.items() if key in missing or issued <= await self._ended(tenant, connected[session])]

    async def missing(self, keys: set[str]) -> set[str]:
        """Those of these keys that are registered no more, as storage has it now."""
        missing = await self._keys.missing(keys)
        for key in missing:
            self._keys.forget(key)
        return missing

    async def _key(self, key: str) -> Registered:
        found = await self._keys.find(key) if is_key(key) else None
        if found is None:
            raise wrong("its `kid` is no key that is registered here.")
        return found

    async def _ended(self, tenant: str, user: str) -> int:
        everybodys = await self._validity.of_application(tenant)
        return max(everybodys, await self._validity.of_user(tenant, user)) if user else everybodys

    async def _take(self, scope: Scope, signed: Signed, user: str) -> None:
        """Take the token's word on the user, once on this worker. That it cannot be written down keeps nobody out."""
        if signed.profile.changes() and not self._taken.get(signed.session):
            with contextlib.suppress(StorageError, Refused):
                await self._users.renew(scope, user, signed.profile, signed.issued_ms)
                self._taken.put(signed.session, True)
