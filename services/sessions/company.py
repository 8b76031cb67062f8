"""User tokens that a company signs by itself. Pure: what such a token must say, and what its session is called.

    header   alg of the registered key, kid its id, typ absent, `JWT` or `at+jwt`
    claims   iss the application, sub the user, iat, exp (24 hours later at most); nbf, aud (`caas`), jti, name, avatar_url as you like

There is no document behind such a token. Its session's name says which key signed it and when, so that it can be told from the
name alone whether it still counts.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from protocol import limits
from protocol.errors import Refused
from protocol.ids import is_user_id
from services.chance import base32
from services.sessions.model import LONGEST_SIGNED_MS
from services.token_keys.service import PREFIX
from services.users.model import Profile

AUDIENCE: Final = "caas"
TYPES: Final = (None, "JWT", "at+jwt")

_KEY = re.compile(r"tk_[0-9a-z]{20}\Z")
_SESSION = re.compile(r"(tk_[0-9a-z]{20})\.([0-9]{1,16})\.[0-9a-z]{12}\Z")
_KEY_SIZE = len(PREFIX) + 20
_LATEST_S = 2**43
_TOLD = {"display_name": ("name", limits.NAME), "avatar_url": ("avatar_url", limits.URL)}


class Signed(NamedTuple):
    """What a token said whose signature was good."""

    tenant: str
    key: str
    session: str
    profile: Profile
    """Who it is, and what else is said of them."""
    issued_ms: int
    from_ms: int
    until_ms: int


def is_signed_by_company(header: Mapping[str, Any]) -> bool:
    """Whether the header names a registered key and none of ours."""
    kid = header.get("kid")
    return isinstance(kid, str) and kid.startswith(PREFIX)


def is_key(kid: str) -> bool:
    """Whether a registered key may be called so."""
    return _KEY.match(kid) is not None


def read_claims(payload: Mapping[str, Any], tenant: str, key: str, digest: bytes) -> Signed:
    """The token's meaning, once its signature was found good. Raises Refused `token_invalid`, saying which claim is wrong."""
    if payload.get("iss") != tenant:
        raise wrong("`iss` must be the id of the application that the key is registered for.")
    _check_audience(payload.get("aud", AUDIENCE))
    issued, until = _ms(payload, "iat"), _ms(payload, "exp")
    if not issued < until <= issued + LONGEST_SIGNED_MS:
        raise wrong("`exp` must be after `iat`, and 24 hours after it at most.")
    if not isinstance(payload.get("jti", ""), str):
        raise wrong("`jti` must be text.")
    profile = _profile(payload)
    name = f"{key}.{issued}.{base32(digest[:12])}"
    return Signed(tenant, key, name, profile, issued, _ms(payload, "nbf") if "nbf" in payload else issued, until)


def parse_session(session: str) -> tuple[str, int] | None:
    """Of a session's name: the key that signed its token, and when it was issued (ms); None for a session of ours."""
    found = _SESSION.match(session)
    return (found[1], int(found[2])) if found else None


def key_of(session: str) -> str:
    """The key alone; empty for a session of ours."""
    return session[:_KEY_SIZE] if session[:3] == PREFIX else ""


def wrong(message: str) -> Refused:
    """A token that will never be good."""
    return Refused("token_invalid", f"This user token is not valid: {message}")


def _check_audience(audience: Any) -> None:
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise wrong(f"`aud` must be `{AUDIENCE}`, or left out.")


def _ms(payload: Mapping[str, Any], claim: str) -> int:
    value = payload.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST_S:  # neither is NaN
        raise wrong(f"`{claim}` must be there, in seconds since 1970.")
    return int(value * 1000)


def _profile(payload: Mapping[str, Any]) -> Profile:
    user = payload.get("sub")
    if not isinstance(user, str) or not is_user_id(user):
        raise wrong("`sub` must be the user's id: 1-128 of A-Za-z0-9_@.:+-, and not `me`, `.` or `..`.")
    told = {}
    for field, (claim, longest) in _TOLD.items():
        if claim in payload:
            if not isinstance(payload[claim], str) or len(payload[claim]) > longest or not _is_unicode(payload[claim]):
                raise wrong(f"`{claim}` must be text of at most {longest} characters.")
            told[field] = payload[claim]
    return Profile(user, **told)


def _is_unicode(text: str) -> bool:
    """JSON can name halves of a surrogate pair, which no UTF-8 can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
