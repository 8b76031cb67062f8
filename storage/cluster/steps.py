"""One step of storing, written so that a crash between any two writes loses nothing, and a repeat or a ghost's late step does nothing.

In this order, each on the disks of a majority before the next begins: entries; bodies that are to go; changed documents; heads; places.

- An entry is written once: what it is follows from the log alone, so whoever writes it writes the same. One that is there and is another
  means that two folds disagree, and is never passed over in silence.
- Bodies go before the documents that say so: whoever finds the document at its place need not ask whether the bodies went.
- A document is written only over an earlier one.
- Where a step changes parts of a conversation (its members), these and its head are written in one transaction: a part that stayed later
  than its head, because the writer died between, would leave a conversation that nobody could wake.
- The stored place only rises, and is last: what it covers is there.

`docs/decisions/mongodb.md` has the argument in full.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import pymongo
from bson.binary import Binary
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storage.cluster.documents import Put, put_forward
from storage.cluster.mongo import EACH_S
from storage.cluster.mongo_errors import duplicates
from storage.cluster.shapes import ENTRIES, LARGEST, PLACES, Doc, at, documents, entry_id, kept_document, kept_entry, place_of
from storage.cluster.transactions import Transactions
from storage.ports.entry import Place, without_body
from storage.ports.errors import Damaged, Unwritable
from storage.ports.log import Change, Storing

_log = logging.getLogger("storage.cluster")

_PARTS, _HEADS = documents("parts"), documents("heads")


class Step(NamedTuple):
    """A step as it is kept. `together`: parts and the heads of their conversations."""

    entries: Sequence[Doc]
    changes: Sequence[Put]
    together: Sequence[Put]
    heads: Sequence[Put]
    storing: Storing


def prepare_step(storing: Storing) -> Step:
    """Raises Unwritable: nothing has been written."""
    entries = [kept_entry(entry) for entry in sorted(storing.entries, key=lambda entry: entry.row.place)]
    if any(len(entry["d"]) > LARGEST for entry in entries):
        raise Unwritable(f"an entry larger than {LARGEST} bytes cannot be kept")
    parts = _kept(change for change in storing.changes if change.collection == "parts")
    torn = {(kept["_id"]["t"], kept["_id"]["k"].rpartition("/")[0]) for _, kept in parts}
    return Step(entries, _kept(change for change in storing.changes if change.collection != "parts"),
                [*parts, *_kept(head for head in storing.heads if (head.tenant, head.key) in torn)],
                _kept(head for head in storing.heads if (head.tenant, head.key) not in torn), storing)


def _kept(changes: Iterable[Change]) -> list[Put]:
    return [(documents(change.collection), kept_document(change)) for change in changes]


def write_step(step: Step, transactions: Transactions, database: Database[Doc], session: ClientSession) -> None:
    """Write all of it, in order."""
    for write in _writes(step, transactions):
        with pymongo.timeout(EACH_S):
            write(database, session)


def _writes(step: Step, transactions: Transactions) -> Iterator[Callable[[Database[Doc], ClientSession], None]]:
    if step.entries:
        yield partial(_write_entries, step.entries)
    if step.storing.cleared:
        yield partial(_clear, step.storing.cleared)
    for name, kept in _by_name(step.changes):
        yield partial(put_forward, name, kept)
    if step.together:
        yield partial(_write_together, step.together, transactions)
    for name, kept in _by_name(step.heads):
        yield partial(put_forward, name, kept)
    if step.storing.places:
        yield partial(_write_places, step.storing.places)


def _by_name(puts: Sequence[Put]) -> Iterable[tuple[str, list[Doc]]]:
    by_name: dict[str, list[Doc]] = {}
    for name, kept in puts:
        by_name.setdefault(name, []).append(kept)
    return by_name.items()


def _write_places(places: Mapping[int, Place], database: Database[Doc], session: ClientSession) -> None:
    forward = [UpdateOne({"_id": partition}, {"$max": {"at": at(place)}}, upsert=True) for partition, place in sorted(places.items())]
    database[PLACES].bulk_write(forward, ordered=False, session=session)


def _write_entries(entries: Sequence[Doc], database: Database[Doc], session: ClientSession) -> None:
    try:
        database[ENTRIES].insert_many(entries, ordered=False, session=session)
    except BulkWriteError as error:
        _check([entries[number] for number in duplicates(error)], database, session)


def _check(there: Sequence[Doc], database: Database[Doc], session: ClientSession) -> None:
    """These were there: they must be the same entries. Raises Damaged."""
    found = {(kept["_id"]["t"], kept["_id"]["c"], kept["_id"]["s"]): kept
             for kept in database[ENTRIES].find({"_id": {"$in": [kept["_id"] for kept in there]}}, {"d": 0, "k": 0}, session=session)}
    for kept in there:
        other = found.get(tuple(kept["_id"].values()))
        if other is None or (other["at"], bytes(other["op"]), other["n"]) != (kept["at"], bytes(kept["op"]), kept["n"]):
            _log.critical("%s at %s was stored otherwise before: two folds of the log disagree, and storing stops", kept["_id"], place_of(kept))
            raise Damaged(f"the entry {kept['_id']} was stored otherwise before")


def _clear(cleared: Sequence[tuple[str, str, int]], database: Database[Doc], session: ClientSession) -> None:
    """Take the bodies away. What is damaged is left as it is: it may be all there is to repair it from."""
    ids = [entry_id(*name) for name in dict.fromkeys(cleared)]
    stubs: list[UpdateOne] = []
    for kept in database[ENTRIES].find({"_id": {"$in": ids}}, {"d": 1}, session=session):
        try:
            stub = without_body(bytes(kept["d"]))
        except Damaged as error:
            _log.critical("the stored entry %s is damaged, its body is not removed: %s", kept["_id"], error)
            continue
        if stub != kept["d"]:
            stubs.append(UpdateOne({"_id": kept["_id"]}, {"$set": {"d": Binary(stub)}}))
    if stubs:
        database[ENTRIES].bulk_write(stubs, ordered=False, session=session)


def _write_together(puts: Sequence[Put], transactions: Transactions, database: Database[Doc], session: ClientSession) -> None:
    def write(own: ClientSession) -> None:
        for name in dict.fromkeys(name for name, _ in puts):
            _write_later(name, [kept for of, kept in puts if of == name], database, own)

    transactions.make(session, write)


def _write_later(name: str, kept: Sequence[Doc], database: Database[Doc], session: ClientSession) -> None:
    """In a transaction: those that are later than what is stored. A duplicate key would end it, so we look first; who comes between makes
    it be tried again."""
    ids = [each["_id"] for each in kept]
    there = {tuple(found["_id"].values()): found["at"] for found in database[name].find({"_id": {"$in": ids}}, {"at": 1}, session=session)}
    for each in kept:
        before = there.get(tuple(each["_id"].values()))
        if before is None:
            database[name].insert_one(each, session=session)
        elif place_of({"at": before}) < place_of(each):
            database[name].replace_one({"_id": each["_id"]}, each, session=session)
