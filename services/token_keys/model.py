"""What is said and kept of the keys that companies sign user tokens with."""

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from services.conversations.model import Params

Algorithm = Literal["EdDSA", "ES256", "RS256"]
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
MOST_OF_ONE = 10
"""Keys of one application: enough to rotate each of several backends."""


class CreateTokenKey(Params, frozen=True, omit_defaults=True):
    """`public_key`: PEM text, or a JWK as an object."""

    public_key: str | dict[str, Any]
    name: Annotated[str, Meta(max_length=limits.NAME)] | UnsetType = UNSET


class ListTokenKeys(Params, frozen=True, omit_defaults=True):
    """All of the application's."""


class DeleteTokenKey(Params, frozen=True, omit_defaults=True):
    key: str


class TokenKey(msgspec.Struct, frozen=True):
    """A registered key as stored. Its algorithm was fixed by what kind of key it is; a token's header never chooses one."""

    application: str
    algorithm: Algorithm
    public: bytes
    """SubjectPublicKeyInfo, DER."""
    fingerprint: str
    name: str
    created_at: int
    last_used_at: int = 0


class Registered(NamedTuple):
    """A key to verify with, and whose it is."""

    application: str
    algorithm: Algorithm
    key: PublicKey
