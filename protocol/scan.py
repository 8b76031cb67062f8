"""A walk over msgpack bytes, token by token and without recursion: what stands in a frame, before anything of it is built."""

from math import isfinite
from struct import unpack
from typing import Any, Final, NamedTuple

from protocol import limits

ABSENT: Final = object()
"""Where no `i` stands, which is something else than a bad one."""


class Finding(NamedTuple):
    """What was found of one command: why it is refused (empty: nothing), and its `i` and `m` as far as they are plain."""

    refusal: str
    i: Any = ABSENT
    m: Any = None
    begin: int = 0
    end: int = 0
    """Where its bytes stand in the frame."""


_SIZED = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_NUMBERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FLOATS = {0xCA: 4, 0xCB: 8}
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


def scan(data: bytes) -> list[Finding]:
    """One finding for each command (the items of an array around them, or the one map). ValueError: not msgpack."""
    walk = _Walk(data)
    count = walk.array_around()
    found = [walk.command() for _ in range(1 if count is None else min(count, limits.BATCH + 1))]
    if (count is not None and count > limits.BATCH) or walk.at != len(data):
        raise ValueError("too many commands, or bytes behind the last")
    return found


class _Walk:
    """Where the walk is, and what it has seen of the present command."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.refusal, self.items = "", 0

    def array_around(self) -> int | None:
        """The size of an array around the commands; None when there is none."""
        first = self._byte(peek=True)
        if 0x90 <= first <= 0x9F:
            self.at += 1
            return first & 0x0F
        if first in (0xDC, 0xDD):
            self.at += 1
            return self._number(2 if first == 0xDC else 4)
        return None

    def command(self) -> Finding:
        """Walk one command. `i` and `m` are taken where they stand, at the top of its map."""
        self.refusal, self.items, begin = "", 0, self.at
        top: dict[Any, Any] = {}
        key: Any = None
        left, keyed = [1], [False]  # values still to come on each level, and whether it is a map: there each other one is a key
        while left:
            if not left[-1]:
                left.pop()
                keyed.pop()
                continue
            left[-1] -= 1
            is_key = keyed[-1] and left[-1] % 2 == 1
            value, inside = self._token()
            if is_key and not isinstance(value, str):
                self.refusal = self.refusal or "a key of a map is something else than text"
            if keyed[-1] and len(left) == 2:
                key = self._top(top, key, value, is_key=is_key)
            if inside is not None:
                values, items = inside
                self._enter(left, values, items)
                keyed.append(values > items)
        return Finding(self.refusal, top.get("i", ABSENT), top.get("m"), begin, self.at)

    def _top(self, top: dict[Any, Any], key: Any, value: Any, *, is_key: bool) -> Any:
        if is_key:
            return value
        if key in ("i", "m"):
            top[key] = value
        return None

    def _enter(self, left: list[int], values: int, items: int) -> None:
        self.items += items
        left.append(values)
        if len(left) - 1 > limits.DEPTH:
            self.refusal = f"it is nested deeper than {limits.DEPTH}"
        if self.items > limits.ITEMS:
            self.refusal = f"it holds more than {limits.ITEMS} items"
        if values > len(self.data) - self.at:
            raise ValueError("more items than bytes")

    def _token(self) -> tuple[Any, tuple[int, int] | None]:
        """The next token: a plain value, or (values, items) of a container."""
        mark = self._byte()
        if mark <= 0x7F:
            return mark, None
        if mark >= 0xE0:
            return mark - 256, None
        if mark <= 0x8F:
            return ..., ((mark & 0x0F) * 2, mark & 0x0F)
        if mark <= 0x9F:
            return ..., (mark & 0x0F, mark & 0x0F)
        if mark <= 0xBF:
            return self._text(mark & 0x1F), None
        return self._long(mark)

    def _long(self, mark: int) -> tuple[Any, tuple[int, int] | None]:
        if mark in (0xDC, 0xDD, 0xDE, 0xDF):
            count = self._number(2 if mark in (0xDC, 0xDE) else 4)
            return ..., (count * 2 if mark >= 0xDE else count, count)
        if mark in _SIZED:
            return self._text(self._number(_SIZED[mark])), None
        if mark in _NUMBERS:
            return self._integer(_NUMBERS[mark], signed=mark >= 0xD0), None
        if mark in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[mark], None
        if mark in _FLOATS:
            return self._float(_FLOATS[mark]), None
        return self._foreign(mark), None

    def _foreign(self, mark: int) -> Any:
        if mark in _BYTES:
            size = self._number(_BYTES[mark])
        elif mark in _EXTENSIONS:
            size = self._number(_EXTENSIONS[mark]) + 1
        elif mark in _FIXED_EXTENSIONS:
            size = _FIXED_EXTENSIONS[mark] + 1
        else:
            raise ValueError("0xc1 is no msgpack")
        self.refusal = self.refusal or "bytes and extension types are not taken: send bytes as base64 text"
        return self._skip(size, ...)

    def _integer(self, size: int, *, signed: bool) -> int:
        value = self._number(size, signed=signed)
        if abs(value) > limits.LARGEST_INTEGER:
            self.refusal = self.refusal or "an integer is 2^53 or more"
        return value

    def _float(self, size: int) -> float:
        start = self.at
        self._skip(size, None)
        (value,) = unpack(">f" if size == 4 else ">d", self.data[start : self.at])
        if not isfinite(value):
            self.refusal = self.refusal or "a float is not a finite number"
        return float(value)

    def _text(self, size: int) -> str:
        start = self.at
        self._skip(size, None)
        return str(self.data[start : self.at], "utf-8")

    def _number(self, size: int, *, signed: bool = False) -> int:
        start = self.at
        self._skip(size, None)
        return int.from_bytes(self.data[start : self.at], "big", signed=signed)

    def _skip(self, size: int, value: Any) -> Any:
        self.at += size
        if self.at > len(self.data):
            raise ValueError("it ends too early")
        return value

    def _byte(self, *, peek: bool = False) -> int:
        if self.at >= len(self.data):
            raise ValueError("it ends too early")
        byte = self.data[self.at]
        self.at += not peek
        return byte
