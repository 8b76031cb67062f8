"""What rooms wake from, many at a time.

In this order, in one causal session on the primary: the stored places, then the heads, then parts and windows. Each is at least as late as
what was read before it, because storing writes the other way round (`steps.py`). So a head may be later than the stored place (then the rows
between are passed over by whoever wakes), and a part later than its head (then it is read again); nothing is ever missing.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from pymongo import ASCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from storage.cluster.shapes import ENTRIES, PLACES, Doc, decode, document_id, documents, entry_id, place_of, stored_row
from storage.ports.documents import Document
from storage.ports.entry import NOWHERE
from storage.ports.log import Loaded, StoredRow

Name = tuple[str, str]
"""Tenant and conversation."""


class Asked(NamedTuple):
    """A room that wakes."""

    tenant: str
    conversation: str
    partition: int


def load_many(asked: Sequence[Asked], database: Database[Doc], session: ClientSession) -> list[Loaded]:
    """What each of them wakes from."""
    names = sorted({(each.tenant, each.conversation) for each in asked})
    partitions = sorted({each.partition for each in asked})
    places = {kept["_id"]: place_of(kept) for kept in database[PLACES].find({"_id": {"$in": partitions}}, session=session)}
    heads = _heads(names, database, session)
    parts = _parts(names, database, session)
    windows = _windows(heads, database, session)
    return [Loaded(places.get(each.partition, NOWHERE), heads.get(each[:2]), parts.get(each[:2], []), windows.get(each[:2], []))
            for each in asked]


def _heads(names: Iterable[Name], database: Database[Doc], session: ClientSession) -> dict[Name, Document]:
    ids = [document_id(*name) for name in names]
    found = database[documents("heads")].find({"_id": {"$in": ids}, "d": {"$ne": None}}, session=session)
    return {(kept["_id"]["t"], kept["_id"]["k"]): decode(kept["d"]) for kept in found}


def _parts(names: Iterable[Name], database: Database[Doc], session: ClientSession) -> dict[Name, list[Document]]:
    """Their keys begin with the conversation and a slash; "0" is the character behind "/", so this is every such key."""
    ranges = [{"_id": {"$gt": document_id(tenant, f"{name}/"), "$lt": document_id(tenant, f"{name}0")}} for tenant, name in names]
    found = database[documents("parts")].find({"$or": ranges, "d": {"$ne": None}}, session=session).sort("_id", ASCENDING)
    parts: dict[Name, list[Document]] = {}
    for kept in found:
        parts.setdefault((kept["_id"]["t"], kept["_id"]["k"].rpartition("/")[0]), []).append(decode(kept["d"]))
    return parts


def _windows(heads: dict[Name, Document], database: Database[Doc], session: ClientSession) -> dict[Name, list[StoredRow]]:
    ranges = [{"_id": {"$gte": entry_id(*name, head["window"]), "$lte": entry_id(*name, head["seq"])}} for name, head in heads.items()]
    if not ranges:
        return {}
    found = database[ENTRIES].find({"$or": ranges}, session=session).sort("_id", ASCENDING)
    return {name: [stored_row(kept) for kept in kept_ones] for name, kept_ones in groupby(found, key=_name)}


def _name(kept: Doc) -> Name:
    return kept["_id"]["t"], kept["_id"]["c"]
