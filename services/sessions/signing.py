"""User tokens of ours: signed with a key of the application, by the one algorithm there is here. What a token's header says never chooses."""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.errors import Refused
from protocol.ids import joined
from services.chance import base32
from services.recent import Recent
from services.scope import SYSTEM
from services.sessions.model import LONGEST_TOKEN, Claims
from services.vault import Vault
from storage.ports.documents import Documents, version

_ALGORITHM: Final = "EdDSA"
_TYPE: Final = "at+jwt"
_KEYS = "signing_keys"
_FIRST = 1
_KEY_ID = re.compile(r"[A-Za-z0-9_\-]{1,32}\Z")
NOT_TAKEN: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"})
_REQUIRED = ("iss", "aud", "sub", "uid", "tid", "sid", "jti", "iat", "nbf", "exp")
_MOST_CACHED = 2_000
# Times are looked at by whoever has the clock (service.py).
_OPTIONS: Any = {"require": list(_REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False}


class Signers:
    """Signs and verifies. Which application a key belongs to is our own table's word; the key itself is kept by the vault."""

    def __init__(self, documents: Documents, vault: Vault, issuer: str = "caas") -> None:
        self._documents, self._vault, self._issuer = documents, vault, issuer
        self._keys: Recent[str, tuple[str, Ed25519PrivateKey]] = Recent(_MOST_CACHED)

    async def sign(self, claims: Claims, token_id: str) -> str:
        """The token. The same claims and id give the same token."""
        kid = _key_id(claims.tenant, _FIRST)
        payload = {
            "iss": self._issuer, "aud": claims.tenant, "sub": claims.external, "uid": claims.user, "tid": claims.tenant, "sid": claims.session,
            "jti": token_id, "iat": claims.from_ms // 1000, "nbf": claims.from_ms // 1000, "exp": claims.until_ms // 1000,
        }
        key = await self._made(claims.tenant, kid)
        return jwt.encode(payload, key, _ALGORITHM, {"kid": kid, "typ": _TYPE})

    async def verify(self, token: str) -> Claims:
        """What a token says, if one of our keys signed it for its own application. Raises Refused `token_invalid`."""
        check_size(token)
        try:
            kid = _checked_header(jwt.get_unverified_header(token))
            tenant, key = await self._found(kid)
            payload = jwt.decode(token, key.public_key(), [_ALGORITHM], options=_OPTIONS, audience=tenant, issuer=self._issuer)
            return _claims(payload, tenant)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise _invalid() from error

    async def _made(self, tenant: str, kid: str) -> Ed25519PrivateKey:
        """The key to sign with, made the first time."""
        if found := self._keys.get(kid):
            return found[1]
        await self._documents.put(SYSTEM, _KEYS, kid, {"application": tenant, "number": _FIRST}, version(1))
        return (await self._found(kid))[1]

    async def _found(self, kid: str) -> tuple[str, Ed25519PrivateKey]:
        if found := self._keys.get(kid):
            return found
        held = await self._documents.get(SYSTEM, _KEYS, kid)
        if held is None:
            raise _invalid()
        tenant: str = held.doc["application"]
        secret = await self._vault.secret(tenant, f"~signing/{held.doc['number']}")
        made = tenant, Ed25519PrivateKey.from_private_bytes(secret)
        self._keys.put(kid, made)
        return made


def decode_header(token: str) -> Mapping[str, Any]:
    """The header, which nobody has vouched for yet. Raises Refused `token_invalid`."""
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _invalid() from error


def check_size(token: str) -> None:
    """Looked at before anything else is. Raises Refused `token_invalid`."""
    if len(token) > LONGEST_TOKEN:
        raise Refused("token_invalid", f"A token is at most {LONGEST_TOKEN} bytes.")


def _key_id(tenant: str, number: int) -> str:
    return base32(blake2b(joined("signing", tenant, str(number)), digest_size=24).digest())


def _checked_header(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    known = header.get("alg") == _ALGORITHM and header.get("typ") == _TYPE and not NOT_TAKEN & header.keys()
    if not known or not isinstance(kid, str) or _KEY_ID.match(kid) is None:
        raise _invalid()
    return kid


def _claims(payload: Mapping[str, Any], tenant: str) -> Claims:
    user, external, session = (payload[name] for name in ("uid", "sub", "sid"))
    since, until = payload["nbf"], payload["exp"]
    texts = all(isinstance(text, str) and text for text in (user, external, session))
    if not texts or type(since) is not int or type(until) is not int or payload["tid"] != tenant or payload["aud"] != tenant:
        raise _invalid()
    return Claims(tenant, user, external, session, since * 1000, until * 1000)


def _invalid() -> Refused:
    return Refused("token_invalid", "This is not a valid user token: create a session for a new one.")
