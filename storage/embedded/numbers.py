"""Narrow numbers for long names (tenant and conversation, tenant and collection, kinds), remembered by whoever uses them."""

import sqlite3
from collections.abc import Iterable

MOST = 50_000

Names = tuple[str, ...]


class Numbers:
    """One table of them, as the writer sees it: what a transaction adds is forgotten when it is rolled back."""

    def __init__(self, table: str, columns: Names, most: int = MOST) -> None:
        equal = " AND ".join(f"{column} = ?" for column in columns)
        self._find = f"SELECT id FROM {table} WHERE {equal}"
        self._add = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        self._name = f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?"
        self._numbers: dict[Names, int] = {}
        self._names: dict[int, Names] = {}
        self._new: list[Names] = []
        self._most = most

    def of(self, connection: sqlite3.Connection, names: Iterable[Names]) -> dict[Names, int]:
        """The numbers of these names, new ones made where there are none. Inside a transaction."""
        return {each: self._numbers.get(each) or self._look(connection, each) for each in names}

    def name(self, connection: sqlite3.Connection, number: int) -> Names:
        """What a number stands for."""
        if (known := self._names.get(number)) is None:
            known = connection.execute(self._name, (number,)).fetchone()
            self._remember(known, number)
        return known

    def commit(self) -> None:
        """What was added is there to stay."""
        self._new.clear()

    def rollback(self) -> None:
        """What was added is not there."""
        if self._new:
            self._numbers.clear()
            self._names.clear()
            self._new.clear()

    def _look(self, connection: sqlite3.Connection, names: Names) -> int:
        row = connection.execute(self._find, names).fetchone()
        if row is None:
            number = int(connection.execute(self._add, names).lastrowid or 0)
            self._new.append(names)
        else:
            number = int(row[0])
        self._remember(names, number)
        return number

    def _remember(self, names: Names, number: int) -> None:
        if len(self._numbers) >= self._most:
            self._numbers.clear()
            self._names.clear()
        self._numbers[names] = number
        self._names[number] = names
