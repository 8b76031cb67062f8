"""What happened in a conversation, read back: from storage as far as storage is, from the room beyond. Dense, or refused."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from protocol.codec import Packed
from protocol.errors import Refused
from protocol.ids import joined
from services.acts import Rooms, View
from services.heads import removed_by
from services.kinds import NOBODY, Kinds, Touched
from services.lately import Lately
from services.overlays import COLLECTION, overlay_key
from services.ready import Ready
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


class People(Protocol):
    """Who wrote something."""

    async def of_internal(self, scope: Scope, users: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the wire shows of them, by internal id."""
        ...


Opened = tuple[Entry, StoredRow, dict[str, Any] | None]
"""An entry with its body; None for a body that has been removed."""


class Passage(NamedTuple):
    """Rows of a conversation in order, and what its room said of it when they were read."""

    rows: Sequence[StoredRow]
    view: dict[str, Any]
    more: bool


class Synced(NamedTuple):
    """Pushes of a conversation in order, and what its room said of it."""

    entries: Sequence[dict[str, Any] | Packed]
    view: dict[str, Any]
    more: bool


def sealed_for(tenant: str, conversation: str, op: bytes) -> bytes:
    """What a body is bound to, tenant, conversation and act: it opens nowhere else."""
    return _place(tenant, conversation) + _SIZE_OF_AN_ACT + op.hex().encode()


_SIZE_OF_AN_ACT = (32).to_bytes(4, "big")
"""As `joined` puts it in front."""


@lru_cache(maxsize=100_000)
def _place(tenant: str, conversation: str) -> bytes:
    return joined(tenant, conversation)


class History:
    """Reads entries, and renders them as pushes."""

    def __init__(self, rooms: Rooms, log: Log, lately: Lately, opener: Opener, kinds: Kinds, people: People, ready: Ready) -> None:
        self._rooms, self._log, self._opener, self._kinds, self._people = rooms, log, opener, kinds, people
        self.lately, self._ready = lately, ready

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

    async def synced(self, scope: Scope, conversation: str, after: int, limit: int, *, own: bool = False) -> Synced:
        """The next entries after a seq as pushes, oldest first: as they were told here, where that is kept, else read."""
        view = await self._rooms.view(scope, conversation, View("about", own=own, floor=after))
        head, floor = view["head"]["seq"], view["head"]["floor"][0]
        kept = self._ready.whole((scope.tenant, conversation), after, head, limit) if after >= floor else None
        if kept is not None:
            return Synced([Packed(push) for push in kept], view, after + len(kept) < head)
        passage = await self.after(scope, conversation, after, limit, own=own)
        return Synced(await self.pushes(scope, passage.rows, "me" if own else "", passage.view), passage.view, passage.more)

    async def around(self, scope: Scope, conversation: str, after: int, before: int, limit: int, kinds: Sequence[str], *, newest: bool) -> Passage:
        """`limit` entries of some kinds with after < seq < before: the oldest of them, or the newest; in order of seq."""
        view = await self._rooms.view(scope, conversation, View("read", after=after, before=before, floor=0))
        late = [StoredRow(seq, n, NOWHERE, data) for seq, n, data in view["rows"] if seq < before and decode_entry(data).kind in kinds]
        edge = min(before, view["stored"] + 1)
        want = limit + 1
        rows = list(await self._log.entries(scope, conversation, after, edge, want, newest=newest, kinds=kinds)) + late
        kept = within(rows[-limit:][::-1])[::-1] if newest else within(rows[:limit])
        return Passage(kept, view, len(rows) > len(kept))

    @property
    def alone(self) -> bool:
        """Whether no other node decides anything: then nothing has to be looked at twice."""
        return self._log.alone

    async def find(self, scope: Scope, conversation: str, op: bytes, *, sure: bool = False) -> Passage:
        """The entry of an act: one row; none, only when the log has been read to its end. `sure`: read it to its end in any case."""
        passage = await self._found(scope, conversation, op, sure=sure)
        if passage.rows or sure or self.alone:
            return passage
        return await self._found(scope, conversation, op, sure=True)

    async def _found(self, scope: Scope, conversation: str, op: bytes, *, sure: bool) -> Passage:
        view = await self._rooms.view(scope, conversation, View("find", op=op, sure=sure))
        rows = [StoredRow(seq, n, NOWHERE, data) for seq, n, data in view["found"]]
        if not rows and (row := (await self._log.find(scope, conversation, (op,))).get(op)) is not None and row.seq <= view["head"]["seq"]:
            rows = [row]
        return Passage(rows, view, False)

    async def these(self, scope: Scope, conversation: str, seqs: Sequence[int], view: Mapping[str, Any]) -> list[StoredRow]:
        """The entries with these seqs, as a view has them: from storage, and those beyond it that amend."""
        late = [StoredRow(seq, n, NOWHERE, data) for seq, n, _, data in view["late"] if seq in seqs]
        missing = sorted(set(seqs) - {row.seq for row in late})
        return [*(await self._log.entries(scope, conversation, 0, missing[-1] + 1, len(missing), seqs=missing) if missing else ()), *late]

    async def each(self, scope: Scope, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Opened]:
        """Of several conversations the stored entries at some seqs, opened, in one read; left out where there is none."""
        pairs = list(wanted)
        found = await self._log.of_each(scope, pairs) if pairs else {}
        return dict(zip(found, await self.opened(scope, list(found.values())), strict=True))

    async def pushes(self, scope: Scope, rows: Sequence[StoredRow], shown_as: str = "",
                     view: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows as pushes. `shown_as` is the conversation's name on the wire, where it is not its own; `view` what its room said
        when they were read."""
        return [push for push, _ in await self.told(scope, rows, shown_as, view)]

    async def told(self, scope: Scope, rows: Sequence[StoredRow], shown_as: str = "",
                   view: Mapping[str, Any] | None = None) -> list[tuple[dict[str, Any], Touched]]:
        """As pushes, and whom each concerns besides telling them."""
        removed = _removed(view)
        opened = [(entry, row, None if entry.op in removed or entry.facts.get("edits") in removed else body)
                  for entry, row, body in await self.opened(scope, rows)]
        gone = [(entry, row) for entry, row, body in opened if body is None and entry.kind in self._kinds]
        stubs = await self.stubs(scope, gone, view) if gone else {}
        return [(self._push(entry, row, body, shown_as, stubs), self._touched(entry)) for entry, row, body in opened]

    async def stubs(self, scope: Scope, gone: Sequence[tuple[Entry, StoredRow]], view: Mapping[str, Any] | None = None) -> dict[int, dict[str, Any]]:
        """What is shown of entries whose bodies are gone, by seq."""
        shown = [(entry, row) for entry, row in gone if self._kinds[entry.kind].stub is not None]
        if not shown:
            return {}
        conversation = shown[0][0].conversation
        keys = [overlay_key(conversation, entry.op) for entry, _ in shown]
        overlays = await self.lately.read(scope, conversation, view or {"late": ()}, COLLECTION, keys)
        people = await self._people.of_internal(scope, [entry.actor for entry, _ in shown])
        stubs = {}
        for (entry, row), key in zip(shown, keys, strict=True):
            stub, author = self._kinds[entry.kind].stub, people.get(entry.actor, {}).get("id", "")
            assert stub is not None
            stubs[row.seq] = stub(entry, row.seq, row.n, author, overlays.get(key, {}).get("removed_at", entry.at))
        return stubs

    async def opened(self, scope: Scope, rows: Sequence[StoredRow]) -> list[Opened]:
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

    def _touched(self, entry: Entry) -> Touched:
        kind = self._kinds.get(entry.kind)
        return kind.touches(entry) if kind else NOBODY

    def _push(self, entry: Entry, row: StoredRow, body: dict[str, Any] | None, shown_as: str, stubs: Mapping[int, Any]) -> dict[str, Any]:
        if body is None and row.seq in stubs:
            name = shown_as or entry.conversation
            return {"t": self._kinds[entry.kind].push, "c": name, "s": row.seq, "at": entry.at, "p": stubs[row.seq]}
        return render_push(self._kinds, entry, row.seq, row.n, body, shown_as)


def _removed(view: Mapping[str, Any] | None) -> set[bytes]:
    """The acts whose bodies the room has removed, and storage not yet."""
    return {removed_by(decode_entry(data).facts) for *_, data in view["late"]} - {b""} if view else set()


def render_push(kinds: Kinds, entry: Entry, seq: int, n: int, body: dict[str, Any] | None, shown_as: str = "") -> dict[str, Any]:
    """One entry as a push; `skip` where there is nothing left to show."""
    name = shown_as or entry.conversation
    kind = kinds.get(entry.kind)
    if kind is None or body is None or kind.push == "skip":
        return {"t": "skip", "c": name, "s": seq}
    return {"t": kind.push, "c": name, "s": seq, "at": entry.at, "p": kind.render(entry, seq, n, body)}


