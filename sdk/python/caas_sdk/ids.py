"""UUIDv7: the ids of messages and acts."""


def make_id(server_ms: int, chance: bytes) -> str:
    """The id of an act: a lower-case UUIDv7 of a time in ms and 10 bytes of chance (RFC 9562, section 5.7)."""
    raw = bytearray(server_ms.to_bytes(6, "big") + chance[:10])
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_time(id_: str) -> int:
    """When an id was made, in ms since 1970, by the clock of whoever made it."""
    return int(id_.replace("-", "")[:12], 16)
