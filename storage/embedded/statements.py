"""Many rows in one statement.

Each step of SQLite gives Python's lock away and has to win it back, and beside a busy event loop that costs up to a switch interval
(measured: 370 rows/s one by one, 14,000 gathered). So rows are written 64 at a time, and what is left in halves of that.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

T = TypeVar("T")
F = TypeVar("F")
_GATHERED = (64, 32, 16, 8, 4, 2, 1)


def write_rows(connection: sqlite3.Connection, insert: str, rows: Sequence[Sequence[Any]], then: str = "") -> None:
    """Run `insert` (up to VALUES) for all rows, with the clause `then` behind."""
    begin = 0
    for size in _GATHERED:
        while len(rows) - begin >= size:
            part = rows[begin : begin + size]
            connection.execute(_text(insert, len(part[0]), size, then), list(chain.from_iterable(part)))
            begin += size


@cache
def _text(insert: str, columns: int, rows: int, then: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"{insert} VALUES {', '.join([row] * rows)} {then}"


def marks(values: Iterable[Any]) -> str:
    """As many question marks as there are values."""
    return ", ".join("?" for _ in values)


def padded(values: Sequence[T], filler: F) -> list[T | F]:
    """As many values as one of a few statements takes, so that these stay prepared: the next power of two."""
    return [*values, *[filler] * ((1 << (len(values) - 1).bit_length()) - len(values))] if values else []
