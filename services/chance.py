"""Random bytes as text: ids and secrets."""

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base32(chance: bytes) -> str:
    """One character for each byte, 5 bits of chance in each."""
    return "".join(_BASE32[byte & 31] for byte in chance)


def base62(raw: bytes, width: int) -> str:
    """The bytes as one number, in `width` characters; it must fit."""
    number, digits = int.from_bytes(raw, "big"), []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
