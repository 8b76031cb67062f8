"""A company's own keys, and the tokens it signs: made by hand, so that they can be bent in every way."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

RSA_2048 = rsa.generate_private_key(65_537, 2_048)
"""Making one takes long: all tests share it."""


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def pem(key: Any) -> str:
    """The public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def new_key(algorithm: str) -> Any:
    return {"EdDSA": Ed25519PrivateKey.generate, "ES256": lambda: ec.generate_private_key(ec.SECP256R1()), "RS256": lambda: RSA_2048}[algorithm]()


def sign(key: Any, data: bytes) -> bytes:
    """As the JWS of the key's kind has it."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@dataclass
class Company:
    """A company's backend that signs by itself; `claims` and `header` are what it says unless told otherwise."""

    tenant: str
    kid: str
    key: Any
    algorithm: str
    clock: Any
    claims: dict[str, Any] = field(default_factory=dict)

    def token(self, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """A token for alice; None leaves a claim out."""
        now = self.clock.ms // 1000
        said = {"iss": self.tenant, "sub": "alice", "iat": now, "exp": now + 3_600, **self.claims, **claims}
        full = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **(header or {})}
        made = ".".join(b64({name: value for name, value in part.items() if value is not None}) for part in (full, said))
        return f"{made}.{b64(sign(key or self.key, made.encode()))}"
