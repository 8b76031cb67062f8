"""How things are kept in MongoDB: what a document, a place and a stored entry look like there.

    documents.<collection>   {_id: {t, k}, at, d, x?}            d: the document, packed; null when deleted, so that the place is remembered
    entries                  {_id: {t, c, s}, n, p, at, k, op, d}  d: the entry's bytes; p: its partition; k: its kind
    places                   {_id: partition, at}

`at` is a place, {g, o, i}; MongoDB compares such a document field by field, which is the order of places. `x` has, for each declared index
that looks into the document, {e, o}: the equal fields packed, and the order field.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from bson.binary import Binary
from pymongo import ASCENDING

from storage.ports.documents import INDEXES, Document, Held, Index
from storage.ports.entry import Place
from storage.ports.errors import Unwritable
from storage.ports.log import Accepted, Change, StoredRow

Doc = dict[str, Any]
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

ENTRIES, PLACES = "entries", "places"
LARGEST = 15 * 1024 * 1024
"""Bytes of one document: MongoDB takes 16 MB with what is around it."""
_CONTENT = (TypeError, ValueError, OverflowError)


def documents(collection: str) -> str:
    """The name that a collection of documents has in MongoDB."""
    return f"documents.{collection}"


def at(place: Place) -> dict[str, int]:
    """A place, as it is kept and compared."""
    return {"g": place.generation, "o": place.offset, "i": place.item}


def place_of(kept: Mapping[str, Any]) -> Place:
    """The place of something kept."""
    found = kept["at"]
    return Place(found["g"], found["o"], found["i"])


def document_id(tenant: str, key: str) -> dict[str, str]:
    """What a document is found by."""
    return {"t": tenant, "k": key}


def entry_id(tenant: str, conversation: str, seq: int) -> dict[str, Any]:
    """What a stored entry is found by."""
    return {"t": tenant, "c": conversation, "s": seq}


def equal_bytes(values: Any) -> Binary:
    """The values of an index's equal fields as one; msgpack puts the length before each."""
    return Binary(encode(tuple(values)))


def kept_document(change: Change) -> Doc:
    """A changed document as it is kept. Raises Unwritable."""
    try:
        change.key.encode()
        data = None if change.doc is None else Binary(encode(change.doc))
    except _CONTENT as error:
        raise Unwritable(f"a document cannot be kept: {error}") from error
    if data is not None and len(data) > LARGEST:
        raise Unwritable(f"a document of {len(data)} bytes cannot be kept: {LARGEST} at most")
    kept: Doc = {"_id": document_id(change.tenant, change.key), "at": at(change.place), "d": data}
    if data is not None and (found := indexed(change.collection, change.key, decode(data))):
        kept["x"] = found
    return kept


def indexed(collection: str, key: str, doc: Document) -> Doc:
    """What the declared indexes need of a document."""
    found: Doc = {}
    for name, index in INDEXES.get(collection, {}).items():
        equal = [doc.get(field) for field in index.equal]
        ordered = doc.get(index.order) if index.order else key
        if ordered is not None and None not in equal:
            found[name] = {"e": equal_bytes(equal), "o": ordered}
    return found


def held(kept: Doc) -> Held:
    """A document as the port gives it."""
    return Held(kept["_id"]["k"], decode(kept["d"]), place_of(kept))


def kept_entry(entry: Accepted) -> Doc:
    """An accepted entry as it is kept."""
    row = entry.row
    return {"_id": entry_id(row.tenant, row.conversation, entry.seq), "n": entry.n, "p": row.partition, "at": at(row.place), "k": entry.kind,
            "op": Binary(entry.op), "d": Binary(row.data)}


def stored_row(kept: Doc) -> StoredRow:
    """A stored entry as the port gives it."""
    return StoredRow(kept["_id"]["s"], kept["n"], place_of(kept), bytes(kept["d"]))


ACT = [("_id.t", ASCENDING), ("_id.c", ASCENDING), ("op", ASCENDING)]
"""Unique: an act is accepted once in its conversation."""
FOLLOWED = [("p", ASCENDING), ("at", ASCENDING)]
"""Unique: an entry has a place of its own in its partition."""


def index_keys(name: str) -> list[tuple[str, int]]:
    """The fields of a declared index in MongoDB."""
    return [("_id.t", ASCENDING), (f"x.{name}.e", ASCENDING), (f"x.{name}.o", ASCENDING), ("_id.k", ASCENDING)]


def index_name(name: str, index: Index) -> str:
    """Says all that an index is, so that one declared otherwise is another."""
    return f"{name}({','.join(index.equal)};{index.order})"
