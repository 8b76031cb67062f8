"""One step of storing, as it is written: where the accepted entries are, what changed, and how far it has come."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from storage.embedded.statements import marks, write_rows
from storage.embedded.transaction import Packed, Transaction, pack
from storage.ports.entry import NOWHERE, Place, without_body
from storage.ports.errors import Damaged
from storage.ports.log import Accepted, Storing

_log = logging.getLogger("storage.embedded")

_STORED = "INSERT OR IGNORE INTO stored (conversation, seq, place, n, kind)"
_ACTS = "INSERT OR IGNORE INTO acts (conversation, op, seq)"
_FOLLOWED = "INSERT OR IGNORE INTO followed (partition, place, seq, n)"
_PLACES = "INSERT INTO places (partition, generation, offset, item)"
_FORWARD = """ON CONFLICT (partition) DO UPDATE SET generation = excluded.generation, offset = excluded.offset, item = excluded.item
    WHERE (generation, offset, item) < (excluded.generation, excluded.offset, excluded.item)"""
_BODY = """SELECT place, data FROM log WHERE place = (SELECT place FROM stored WHERE seq = ? AND conversation =
    (SELECT id FROM conversations WHERE tenant = ? AND name = ?))"""


class Step(NamedTuple):
    """A step whose documents are packed."""

    storing: Storing
    changes: Sequence[Packed]
    heads: Sequence[Packed]


def prepare_step(storing: Storing) -> Step:
    """Raises Unwritable for a document that msgpack cannot hold."""
    return Step(storing, [pack(change) for change in storing.changes], [pack(change) for change in storing.heads])


def write_step(transaction: Transaction, step: Step) -> None:
    """Write all of it. Only forward: what the stored places have passed already is left as it is."""
    storing = step.storing
    before = _places(transaction, storing)
    _write_entries(transaction, [entry for entry in storing.entries if entry.row.place > before.get(entry.row.partition, NOWHERE)])
    transaction.put_all(step.changes)
    transaction.put_all(step.heads)
    write_rows(transaction.connection, _PLACES, [(partition, *place) for partition, place in sorted(storing.places.items())], _FORWARD)
    for tenant, conversation, seq in storing.cleared:
        _clear(transaction, tenant, conversation, seq)


def _places(transaction: Transaction, storing: Storing) -> dict[int, Place]:
    partitions = sorted({entry.row.partition for entry in storing.entries})
    select = f"SELECT partition, generation, offset, item FROM places WHERE partition IN ({marks(partitions)})"
    return {partition: Place(*place) for partition, *place in transaction.connection.execute(select, partitions).fetchall()}


def _write_entries(transaction: Transaction, entries: Sequence[Accepted]) -> None:
    connection = transaction.connection
    conversations = transaction.conversations.of(connection, {(entry.row.tenant, entry.row.conversation) for entry in entries})
    kinds = transaction.kinds.of(connection, {(entry.kind,) for entry in entries})
    rows = [(conversations[entry.row.tenant, entry.row.conversation], entry) for entry in entries]
    write_rows(connection, _STORED, sorted((number, entry.seq, entry.row.place.offset, entry.n, kinds[entry.kind,]) for number, entry in rows))
    write_rows(connection, _ACTS, sorted((number, entry.op, entry.seq) for number, entry in rows))
    write_rows(connection, _FOLLOWED, sorted((entry.row.partition, entry.row.place.offset, entry.seq, entry.n) for entry in entries))


def _clear(transaction: Transaction, tenant: str, conversation: str, seq: int) -> None:
    """Take the body away, in place. What is damaged is left as it is: it may be all there is to repair it from."""
    row = transaction.connection.execute(_BODY, (seq, tenant, conversation)).fetchone()
    if row is None:
        return
    place, data = row
    try:
        stub = without_body(data)
    except Damaged as error:
        _log.critical("the stored entry at offset %d is damaged, its body is not removed: %s", place, error)
        return
    if stub != data:
        transaction.connection.execute("UPDATE log SET data = ? WHERE place = ?", (stub, place))
