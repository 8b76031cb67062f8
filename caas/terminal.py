"""What commands print: tables for people, JSON for machines."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 200
"""Columns where nobody says how many there are: what is piped is not to be cut."""


def console() -> Console:
    """Standard output."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> None:
    """A table; or a sentence where there is nothing to show."""
    if not rows:
        print(empty)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    console().print(table)


def print_pairs(pairs: dict[str, Any]) -> None:
    """Names and values, one a line, whole: a value may be a key that somebody copies."""
    width = max(map(len, pairs)) + 2
    for name, value in pairs.items():
        print(f"{name:{width}}{printable(str(value))}")


def print_json(value: Any) -> None:
    """One JSON value."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def cell(value: Any) -> Text:
    """A value as a cell: what people wrote is never taken for markup or for a command to the terminal."""
    return value if isinstance(value, Text) else Text(printable(str(value)))


def printable(text: str) -> str:
    """The text, without what would move the cursor or change colours."""
    return "".join(character if character.isprintable() else "�" for character in text)


def moment(ms: int) -> str:
    """A time, as people read it; `never` for 0."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if ms else "never"
