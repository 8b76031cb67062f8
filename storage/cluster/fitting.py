"""Whether a MongoDB is fit to keep what was stored: looked at, and its collections and indexes made, before anything is served."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from pymongo import ASCENDING, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from storage.cluster.mongo import READ_S, Mongo, make_client
from storage.cluster.shapes import ACT, ENTRIES, FOLLOWED, PLACES, Doc, decode, documents, index_keys, index_name, indexed
from storage.failing import Unfit
from storage.giving_way import GivingWay
from storage.ports.documents import INDEXES, Index

_log = logging.getLogger("storage.cluster")

_WIRE = 17
"""MongoDB 6.0."""
_PREPARE_S = 60.0
_AT_ONCE = 1_000


@asynccontextmanager
async def open_mongo(uri: str, database: str = "caas") -> AsyncIterator[Mongo]:
    """The way to a database, looked over: a replica set whose majority is one. Raises Unfit, StorageAway."""
    mongo = Mongo(partial(make_client, uri), database)
    giving_way = GivingWay(lambda: mongo.busy)
    mongo.open(giving_way.begin)
    try:
        await mongo.read(look_over, READ_S * 5)
        await mongo.write(ensure, _PREPARE_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(giving_way.run)
            yield mongo
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await mongo.close()


def look_over(database: Database[Doc], session: ClientSession) -> None:
    """Whether acknowledged writes last here. Raises Unfit with what to change."""
    hello = database.client.admin.command("hello", session=session)
    if "setName" not in hello:
        raise Unfit("this MongoDB is a standalone: what it has acknowledged is lost with its disk, and it has no causal reads. Start mongod with "
                    "--replSet caas, then run rs.initiate() once; three members are what production needs")
    if hello["maxWireVersion"] < _WIRE:
        raise Unfit("this MongoDB is older than 6.0: start a newer one")
    if hello.get("arbiters"):
        raise Unfit(f"{', '.join(hello['arbiters'])} are arbiters: with them a majority can vote for what a majority has not written. "
                    "Replace each by a member with data")
    _look_at_config(database, session)


def _look_at_config(database: Database[Doc], session: ClientSession) -> None:
    try:
        config = database.client.admin.command("replSetGetConfig", session=session)["config"]
    except OperationFailure as error:
        _log.warning("the replica set's configuration cannot be looked at (%s): give this user the role clusterMonitor", error.details)
        return
    if not config.get("writeConcernMajorityJournalDefault", True):
        raise Unfit("this replica set calls a write a majority's before it is on their disks: set writeConcernMajorityJournalDefault to true "
                    "with rs.reconfig()")
    voting = sum(member["votes"] > 0 for member in config["members"])
    if voting < 3:
        _log.warning("this replica set has %d voting member%s: for development. Any one that fails stops all writes, and one disk is no copy",
                     voting, "" if voting == 1 else "s")


def ensure(database: Database[Doc], session: ClientSession) -> None:
    """Collections that transactions write exist before them, and every index is there."""
    there = set(database.list_collection_names(session=session))
    for name in {ENTRIES, PLACES, documents("heads"), documents("parts")} - there:
        _create(database, name, session)
    database[ENTRIES].create_index(ACT, name="act", unique=True, session=session)
    database[ENTRIES].create_index(FOLLOWED, name="followed", unique=True, session=session)
    _ensure_declared(database, session, INDEXES)


def _create(database: Database[Doc], name: str, session: ClientSession) -> None:
    try:
        database.create_collection(name, session=session, check_exists=False)  # by itself it looks, and says so without a code
    except PyMongoError as error:  # another node was faster
        if getattr(error, "code", None) != 48:
            raise


def _ensure_declared(database: Database[Doc], session: ClientSession, wanted: Mapping[str, Mapping[str, Index]]) -> None:
    """What an index needs of documents that were written before it was declared is filled in first. One that is declared no more stays: a node
    of the release before may need it."""
    for collection, named in wanted.items():
        of = database[documents(collection)]
        there = set(of.index_information(session=session))
        fresh = {name: index for name, index in named.items() if index_name(name, index) not in there}
        if fresh:
            _fill(of, collection, session)
        for name, index in fresh.items():
            of.create_index([*index_keys(name)], name=index_name(name, index), partialFilterExpression={f"x.{name}.e": {"$exists": True}},
                            session=session)


def _fill(of: Any, collection: str, session: ClientSession) -> None:
    """Only where the document is still the one that was read."""
    changed: list[UpdateOne] = []
    for kept in of.find({"d": {"$ne": None}}, session=session).sort("_id", ASCENDING):
        x = indexed(collection, kept["_id"]["k"], decode(kept["d"]))
        if x != kept.get("x", {}):
            changed.append(UpdateOne({"_id": kept["_id"], "at": kept["at"]}, {"$set": {"x": x}}))
        if len(changed) == _AT_ONCE:
            of.bulk_write(changed, ordered=False, session=session)
            changed = []
    if changed:
        of.bulk_write(changed, ordered=False, session=session)

