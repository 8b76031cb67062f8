"""Public keys, taken apart and judged. Pure.

One algorithm for each kind of key: Ed25519 is EdDSA, P-256 is ES256, RSA is RS256. There is no symmetric one, so a public key can
never be mistaken for a secret.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key, load_pem_public_key
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from nacl.bindings import crypto_core_ed25519_is_valid_point

from protocol.errors import Refused
from services.token_keys.model import Algorithm, PublicKey

LEAST_RSA_BITS: Final = 2_048
MOST_RSA_BITS: Final = 4_096
_LONGEST: Final = 8_192
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_FROM_JWK = {"OKP": OKPAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "RSA": RSAAlgorithm.from_jwk}


class Public(NamedTuple):
    """A public key that may be registered."""

    algorithm: Algorithm
    key: PublicKey

    def der(self) -> bytes:
        """As it is stored."""
        return self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def fingerprint(self) -> str:
        """By which people compare keys: as OpenSSH writes them, over the DER."""
        return "SHA256:" + b64encode(sha256(self.der()).digest()).rstrip(b"=").decode()


def read_public(given: str | Mapping[str, Any]) -> Public:
    """The key in a PEM text or a JWK. Raises Refused with what is wrong with it."""
    key = _of_pem(given) if isinstance(given, str) else _of_jwk(given)
    algorithm = _judged(key)
    if not isinstance(given, str) and given.get("alg", algorithm) != algorithm:
        raise _refused(f"This key is for {algorithm}, and its `alg` says otherwise: leave it out, or mend it.")
    return Public(algorithm, key)


def stored_key(der: bytes) -> PublicKey:
    """A key as it was registered."""
    key = load_der_public_key(der)
    assert isinstance(key, PublicKey)
    return key


def _of_pem(text: str) -> Any:
    if "PRIVATE KEY" in text:
        raise _private()
    if len(text) > _LONGEST or "-----BEGIN" not in text:
        raise _refused("Send a public key as PEM (`-----BEGIN PUBLIC KEY-----`) or as a JWK.")
    try:
        return load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused("This PEM holds no public key that can be read.") from error


def _of_jwk(jwk: Mapping[str, Any]) -> Any:
    if _PRIVATE & jwk.keys():
        raise _private()
    if jwk.get("use", "sig") != "sig":
        raise _refused("The JWK's `use` must be `sig`.")
    try:
        return _FROM_JWK[jwk["kty"]](dict(jwk))
    except (PyJWTError, ValueError, KeyError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused("This JWK holds no public key that can be read: `kty` is OKP (Ed25519), EC (P-256) or RSA.") from error


def _judged(key: Any) -> Algorithm:
    """The one algorithm that a key is for. Raises Refused for a weak or unknown one."""
    match key:
        case Ed25519PublicKey():
            if crypto_core_ed25519_is_valid_point(key.public_bytes(Encoding.Raw, PublicFormat.Raw)):
                return "EdDSA"
            raise _refused("Anybody could sign for this Ed25519 key: it is of small order.")
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return "ES256"
        case RSAPublicKey():
            if LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS and key.public_numbers().e >= 65_537:
                return "RS256"
            raise _refused(f"An RSA key must have {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits, and an exponent of 65537 or more.")
    raise _refused("The key must be Ed25519 (EdDSA), P-256 (ES256) or RSA (RS256).")


def _private() -> Refused:
    return _refused("This is a private key, and it was not kept: register its public half. Who else may have seen it? Make a new one.")


def _refused(message: str) -> Refused:
    return Refused("bad_request", message, field="public_key")
