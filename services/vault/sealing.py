"""Sealing with one key. Pure: XChaCha20-Poly1305, a random nonce of 24 bytes in front.

    sealed = format (1) | nonce (24) | what was sealed, and its tag (16)

The associated data is not kept: whoever opens must know what the bytes belong to, so a row that reaches another tenant, another
conversation or another act does not open.
"""

from typing import Final

from nacl._sodium import ffi, lib  # type: ignore[import-not-found]
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt
from nacl.exceptions import CryptoError

from storage.ports.errors import Damaged

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 24
_FORMAT = b"\x01"
_BEGIN = 1 + NONCE_SIZE
_TAG_SIZE: Final = 16
_SHORTEST = _BEGIN + _TAG_SIZE
_encrypt, _new, _buffer, _NULL = lib.crypto_aead_xchacha20poly1305_ietf_encrypt, ffi.new, ffi.buffer, ffi.NULL


class Unopenable(Damaged):
    """These bytes do not open here: their key was erased, or they are not what was sealed under it for this place."""


def seal(key: bytes, aad: bytes, plain: bytes, nonce: bytes) -> bytes:
    """Seal under a key of 32 bytes, bound to `aad`. A nonce is used once."""
    if len(key) != KEY_SIZE or len(nonce) != NONCE_SIZE:
        raise ValueError("a key has 32 bytes and a nonce 24")
    size = len(plain)
    sealed = _new("unsigned char[]", size + _TAG_SIZE)
    # The call that nacl.bindings makes too, without what it checks besides: 1.7 us in place of 5.1, for every message.
    _encrypt(sealed, _NULL, plain, size, aad, len(aad), _NULL, nonce, key)
    return b"%b%b%b" % (_FORMAT, nonce, _buffer(sealed))


def open_sealed(key: bytes, aad: bytes, sealed: bytes) -> bytes:
    """What was sealed. Raises Unopenable."""
    if len(sealed) < _SHORTEST or sealed[:1] != _FORMAT:
        raise Unopenable("these bytes were not sealed by us")
    try:
        return _decrypt(sealed[_BEGIN:], aad, sealed[1:_BEGIN], key)
    except CryptoError as error:
        raise Unopenable("the key, the place or the bytes are not those that were sealed") from error
