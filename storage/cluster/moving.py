"""A set-up in MongoDB, to be moved from or to. The log itself does not move: it is made anew, under the next generation, by the first node."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from bson.binary import Binary
from confluent_kafka import TopicPartition
from pymongo import ASCENDING, MongoClient
from pymongo.client_session import ClientSession

from storage.cluster.fitting import ensure, look_over
from storage.cluster.following import reach_now
from storage.cluster.kafka import ANSWER_S, Kafka
from storage.cluster.settings import COLLECTION, KEY, SYSTEM, UNFIT, Settings, settings_of
from storage.cluster.shapes import ENTRIES, PLACES, Doc, at, decode, document_id, documents, encode, entry_id, indexed, place_of
from storage.failing import Unfit
from storage.ports.documents import version
from storage.ports.entry import Place
from storage.ports.moving import Document, Entry, SetUp

T = TypeVar("T")
WITHIN_S = 60.0
"""Deadline of each trip."""
_AT_ONCE = 500
_PREFIX = documents("")


class ClusterSource:
    """The port Source. `client` is as `make_client` makes it. With a snapshot session all is of one moment, while nodes write."""

    def __init__(self, client: MongoClient[Doc], database: str, kafka: Kafka, session: ClientSession | None = None) -> None:
        self._database, self._kafka, self._session = client[database], kafka, session
        kept = self._database[documents(COLLECTION)].find_one({"_id": document_id(SYSTEM.tenant, KEY)}, session=session)
        if kept is None:
            raise Unfit(f"the database `{database}` holds no set-up")
        self._settings, self._version = settings_of(decode(kept["d"])), place_of(kept).offset

    def setup(self) -> SetUp:
        """See the port."""
        return SetUp(*self._settings)

    def unstored(self) -> int:
        """See the port."""
        return rows_beyond(self._kafka, self._settings.partitions, self._settings.generation, self.places())

    def places(self) -> Mapping[int, Place]:
        """See the port."""
        return {kept["_id"]: place_of(kept) for kept in self._database[PLACES].find(session=self._session)}

    def entries(self) -> Iterator[Entry]:
        """See the port."""
        for kept in self._database[ENTRIES].find(session=self._session).sort([("p", ASCENDING), ("at", ASCENDING)]).hint("followed"):
            name = kept["_id"]
            yield Entry(name["t"], name["c"], name["s"], kept["n"], kept["p"], place_of(kept), kept["k"], bytes(kept["op"]), bytes(kept["d"]))

    def documents(self) -> Iterator[Document]:
        """See the port."""
        for name in sorted(self._database.list_collection_names()):
            if name.startswith(_PREFIX) and name != documents(COLLECTION):
                for kept in self._database[name].find({}, {"x": 0}, session=self._session):
                    data = None if kept["d"] is None else bytes(kept["d"])
                    yield Document(kept["_id"]["t"], name.removeprefix(_PREFIX), kept["_id"]["k"], data, place_of(kept))

    def leave(self, where: str) -> None:
        """See the port."""
        _say_unfit(self._database, self._version + 1, f"this set-up was moved away: it is {where} now, and goes on there")


class ClusterTarget:
    """The port Target."""

    def __init__(self, client: MongoClient[Doc], database: str, kafka: Kafka) -> None:
        self._client, self._database, self._name, self._kafka = client, client[database], database, kafka

    def begin(self, setup: SetUp) -> None:
        """See the port."""
        self._settings = Settings(setup.partitions, setup.setup, setup.epoch, setup.generation + 1)
        with self._client.start_session() as session:
            look_over(self._database, session)
            ensure(self._database, session)
        if self._database[documents(COLLECTION)].find_one({}) or self._database[ENTRIES].find_one({}):
            raise Unfit(f"the database `{self._name}` holds a set-up already, or half of one: name another with CAAS_SETUP, or drop it")
        if rows_beyond(self._kafka, setup.partitions, self._settings.generation, {}):
            raise Unfit(f"Kafka's topic {self._kafka.log_topic(self._settings.generation)} is of another set-up: name ours with CAAS_SETUP, "
                        "or delete the topic")
        _say_unfit(self._database, 1, "this set-up was moved here and the move was not finished: drop the database, then move it again")

    def put_entries(self, entries: Iterable[Entry]) -> None:
        """See the port."""
        for some in _by(_AT_ONCE, entries):
            self._database[ENTRIES].insert_many(
                [{"_id": entry_id(entry.tenant, entry.conversation, entry.seq), "n": entry.n, "p": entry.partition, "at": at(entry.place),
                  "k": entry.kind, "op": Binary(entry.op), "d": Binary(entry.data)} for entry in some], ordered=False)

    def put_documents(self, moved: Iterable[Document]) -> None:
        """See the port."""
        for some in _by(_AT_ONCE, moved):
            by_name: dict[str, list[Doc]] = {}
            for document in some:
                by_name.setdefault(documents(document.collection), []).append(_kept(document))
            for name, kept in by_name.items():
                self._database[name].insert_many(kept, ordered=False)

    def finish(self, places: Mapping[int, Place]) -> None:
        """See the port."""
        if places:
            self._database[PLACES].insert_many([{"_id": partition, "at": at(place)} for partition, place in places.items()])
        _write(self._database, 2, self._settings._asdict())


def rows_beyond(kafka: Kafka, partitions: int, generation: int, places: Mapping[int, Place]) -> int:
    """How many records the log of a generation holds beyond these places; 0 where there is no such log."""
    admin, topic = kafka.admin(), kafka.log_topic(generation)
    if topic not in admin.list_topics(timeout=ANSWER_S).topics:
        return 0
    ends = reach_now(admin, [TopicPartition(topic, partition) for partition in range(partitions)])
    return sum(max(0, reach.high - _next(places.get(partition), generation)) for partition, reach in ends.items())


def _next(place: Place | None, generation: int) -> int:
    return place.offset + 1 if place is not None and place.generation == generation else 0


def _kept(document: Document) -> Doc:
    kept: Doc = {"_id": document_id(document.tenant, document.key), "at": at(document.place),
                 "d": None if document.data is None else Binary(document.data)}
    if document.data is not None and (found := indexed(document.collection, document.key, decode(document.data))):
        kept["x"] = found
    return kept


def _say_unfit(database: Any, number: int, why: str) -> None:
    _write(database, number, {UNFIT: why})


def _write(database: Any, number: int, doc: Doc) -> None:
    kept = {"_id": document_id(SYSTEM.tenant, KEY), "at": at(version(number)), "d": Binary(encode(doc))}
    database[documents(COLLECTION)].replace_one({"_id": kept["_id"]}, kept, upsert=True)


def _by(count: int, things: Iterable[T]) -> Iterator[list[T]]:
    left = iter(things)
    while some := list(islice(left, count)):
        yield some
