"""What happened in a conversation, read back: from storage as far as storage is, from the room beyond. Dense, or refused."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from protocol.errors import Refused
from protocol.ids import joined
from services.acts import Rooms, View
from services.kinds import Kinds
from services.scope import Scope
from storage.ports.entry import NOWHERE, Entry, decode_entry
from storage.ports.errors import Damaged
from storage.ports.log import Log, StoredRow

_decode_body = msgspec.msgpack.Decoder(dict[str, Any]).decode


PAGE_BYTES = 256 * 1024
"""A page ends early when it has so much: a reply must fit into what may wait for a socket."""


def within(rows: list[StoredRow]) -> list[StoredRow]:
    """The first of the rows that fit into a page, one at least."""
    size = 0
    for count, row in enumerate(rows):
        size += len(row.data)
        if size > PAGE_BYTES and count:
            return rows[:count]
    return rows


class Opener(Protocol):
    """What reading needs of the vault."""

    async def ensure(self, tenant: str, keys: Iterable[str]) -> None: ...

    def open(self, tenant: str, key: str, aad: bytes, sealed: bytes) -> bytes | None: ...


class Passage(NamedTuple):
    """Rows of a conversation in order, and what its room said of it when they were read."""

    rows: Sequence[StoredRow]
    view: dict[str, Any]
    more: bool


def sealed_for(tenant: str, conversation: str, op: bytes) -> bytes:
    """What a body is bound to: it opens nowhere else."""
    return joined(tenant, conversation, op.hex())


class History:
    """Reads entries, and renders them as pushes."""

    def __init__(self, rooms: Rooms, log: Log, opener: Opener, kinds: Kinds) -> None:
        self._rooms, self._log, self._opener, self._kinds = rooms, log, opener, kinds

    async def after(self, scope: Scope, conversation: str, after: int, limit: int, *, own: bool = False) -> Passage:
        """The next entries after a seq, oldest first."""
        view = await self._rooms.view(scope, conversation, View("read", after=after, limit=limit, own=own, floor=after))
        stored: int = view["stored"]
        rows = list(await self._log.entries(scope, conversation, after, stored + 1, limit)) if after < stored else []
        rows += [StoredRow(seq, n, NOWHERE, data) for seq, n, data in view["rows"] if seq > after][: limit - len(rows)]
        rows = within(rows)
        if rows and [row.seq for row in rows] != list(range(rows[0].seq, rows[0].seq + len(rows))):
            raise Refused("unavailable", "Storage is behind for a moment: ask again.")
        return Passage(rows, view, bool(rows) and rows[-1].seq < view["head"]["seq"])

    async def around(self, scope: Scope, conversation: str, after: int, before: int, limit: int, kinds: Sequence[str], *, newest: bool) -> Passage:
        """`limit` entries of some kinds with after < seq < before: the oldest of them, or the newest; in order of seq."""
        view = await self._rooms.view(scope, conversation, View("read", after=after, before=before, floor=0))
        late = [StoredRow(seq, n, NOWHERE, data) for seq, n, data in view["rows"] if decode_entry(data).kind in kinds]
        edge = min(before, view["stored"] + 1)
        want = limit + 1
        rows = list(await self._log.entries(scope, conversation, after, edge, want, newest=newest, kinds=kinds)) + late
        kept = within(rows[-limit:][::-1])[::-1] if newest else within(rows[:limit])
        return Passage(kept, view, len(rows) > len(kept))

    async def last_message(self, scope: Scope, conversation: str, seq: int) -> dict[str, Any]:
        """`{last_message: ...}` from storage, by its seq; nothing while it is not stored."""
        rows = await self._log.entries(scope, conversation, seq - 1, seq + 1, 1)
        shown = [push["p"] for push in await self.pushes(scope, rows) if "p" in push]
        return {"last_message": shown[0]} if shown else {}

    async def pushes(self, scope: Scope, rows: Sequence[StoredRow], shown_as: str = "") -> list[dict[str, Any]]:
        """The rows as pushes. `shown_as` is the conversation's name on the wire, where it is not its own."""
        return [self._push(entry, row, body, shown_as) for entry, row, body in await self.opened(scope, rows)]

    async def opened(self, scope: Scope, rows: Sequence[StoredRow]) -> list[tuple[Entry, StoredRow, dict[str, Any] | None]]:
        """Entries with their bodies; None for a body that has been removed."""
        entries = [decode_entry(row.data) for row in rows]
        await self._opener.ensure(scope.tenant, {entry.key for entry in entries if entry.key})
        return [(entry, row, self.body(entry)) for entry, row in zip(entries, rows, strict=True)]

    def body(self, entry: Entry) -> dict[str, Any] | None:
        """A body, opened; its key must have been ensured. None when it was removed, or its key erased."""
        if not entry.key:
            return _decode_body(entry.body) if entry.body else None
        try:
            plain = self._opener.open(entry.tenant, entry.key, sealed_for(entry.tenant, entry.conversation, entry.op), entry.body)
        except Damaged:
            return None
        return None if plain is None else _decode_body(plain)

    def _push(self, entry: Entry, row: StoredRow, body: dict[str, Any] | None, shown_as: str) -> dict[str, Any]:
        return render_push(self._kinds, entry, row.seq, row.n, body, shown_as)


def render_push(kinds: Kinds, entry: Entry, seq: int, n: int, body: dict[str, Any] | None, shown_as: str = "") -> dict[str, Any]:
    """One entry as a push; `skip` where there is nothing left to show."""
    name = shown_as or entry.conversation
    kind = kinds.get(entry.kind)
    if kind is None or body is None:
        return {"t": "skip", "c": name, "s": seq}
    return {"t": kind.push, "c": name, "s": seq, "at": entry.at, "p": kind.render(entry, seq, n, body)}


