"""Whether storage holds what the log decides: each entry that one fold of the whole log accepts, and the head it comes to."""

from typing import Any

import msgspec

from services.catalogue import KINDS
from services.deciding import Fold
from services.heads import head_of
from services.kinds import parts_of
from storage.memory import Store
from storage.ports.entry import NOWHERE, decode_entry
from storage.ports.log import StoredRow


def stored_otherwise(store: Store) -> list[str]:
    """What storing wrote, by the verdicts of rooms that slept, woke, moved and died, and one fold of the whole log decides otherwise."""
    folds: dict[tuple[str, str], Fold] = {}
    accepted: dict[tuple[str, str], list[StoredRow]] = {}
    for row in (row for rows in store.rows for row in rows if row.place <= store.places.get(row.partition, NOWHERE)):
        key = row.tenant, row.conversation
        fold = folds.setdefault(key, Fold(parts_of(KINDS)))
        outcome = fold.apply(decode_entry(row.data), row.place)
        if outcome.what == "ok":
            accepted.setdefault(key, []).append(StoredRow(outcome.seq, outcome.n, row.place, row.data))
    found = []
    for (tenant, conversation), rows in accepted.items():
        stored = store.entries(tenant, conversation, 0, 1_000_000, 1_000_000)
        if list(map(_as_decided, stored)) != list(map(_as_decided, rows)):
            found.append(f"S4: {tenant}/{conversation} is stored otherwise than its log decides")
        [head] = store.held(tenant, "heads", [conversation])
        whole = msgspec.msgpack.decode(msgspec.msgpack.encode(head_of(folds[tenant, conversation])))
        if head.doc != {**whole, "place": list(rows[-1].place)}:  # what was refused since then has moved no head
            found.append(f"S12: the head of {tenant}/{conversation} is not what its log folds to")
    return found


def _as_decided(row: StoredRow) -> Any:
    """All that bodies, which may have been removed since, say nothing of."""
    return row.seq, row.n, row.place, msgspec.structs.replace(decode_entry(row.data), body=b"", key="")
