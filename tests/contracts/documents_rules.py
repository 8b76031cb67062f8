"""The rules of the port Documents, each a function named after it."""

import msgspec
import pytest
import trio

from storage.ports.documents import Held, version
from storage.ports.entry import Place
from storage.ports.errors import Unwritable
from tests.contracts.data import ONE, OTHER, Backend, Data, append, follow, record


async def what_was_put_can_be_got(data: Data) -> None:
    doc = {"text": "täxt", "number": 2**53 - 1, "less": -5, "raw": b"\x00\xff", "none": None, "list": [1, "a", {"b": True}], "real": 0.5}
    async with data() as node:
        assert await node.documents.put(ONE, "things", "k", doc, version(1))
        assert await node.documents.get(ONE, "things", "k") == Held("k", doc, version(1))
        assert await node.documents.get(ONE, "things", "other") is None
        assert await node.documents.get(ONE, "others", "k") is None
    async with data() as node:
        assert await node.documents.get(ONE, "things", "k") == Held("k", doc, version(1))


async def a_document_got_is_nobody_elses(data: Data) -> None:
    async with data() as node:
        doc = {"list": [1]}
        await node.documents.put(ONE, "things", "k", doc, version(1))
        doc["list"].append(2)
        held = await node.documents.get(ONE, "things", "k")
        assert held is not None
        held.doc["list"].append(3)
        again = await node.documents.get(ONE, "things", "k")
        assert again is not None
        assert again.doc == {"list": [1]}


async def a_write_with_an_earlier_place_does_nothing(data: Data) -> None:
    async with data() as node:
        put = node.documents.put
        assert await put(ONE, "things", "k", {"v": 5}, Place(1, 5, 1))
        assert not await put(ONE, "things", "k", {"v": 0}, Place(1, 5, 1))
        assert not await put(ONE, "things", "k", {"v": 0}, Place(1, 5, 0))
        assert not await put(ONE, "things", "k", {"v": 0}, Place(1, 4, 9))
        assert not await put(ONE, "things", "k", {"v": 0}, Place(0, 9, 9))
        assert await node.documents.get(ONE, "things", "k") == Held("k", {"v": 5}, Place(1, 5, 1))
        assert await put(ONE, "things", "k", {"v": 6}, Place(1, 5, 2))
        assert await put(ONE, "things", "k", {"v": 7}, Place(2, 0, 0))


async def of_two_writers_with_one_version_the_first_wins(data: Data) -> None:
    async with data() as one, data() as other:
        won: list[int] = []

        async def write(number: int) -> None:
            node = (one, other)[number % 2]
            if await node.documents.put(ONE, "things", "k", {"by": number}, version(1)):
                won.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(write, number)
        held = await other.documents.get(ONE, "things", "k")
        assert held is not None
        assert won == [held.doc["by"]]


async def what_was_deleted_is_gone_and_stays_so(data: Data) -> None:
    async with data() as node:
        await node.documents.put(ONE, "users", "k", {"external_id": "e"}, version(1))
        assert not await node.documents.delete(ONE, "users", "k", version(1))
        assert await node.documents.delete(ONE, "users", "k", version(5))
        assert not await node.documents.delete(ONE, "users", "k", version(5))
        assert await node.documents.get(ONE, "users", "k") is None
        assert await node.documents.get_many(ONE, "users", ["k"]) == {}
        assert list(await node.documents.find(ONE, "users", "external", ["e"])) == []
        assert not await node.documents.put(ONE, "users", "k", {"external_id": "e"}, version(5))
        assert await node.documents.put(ONE, "users", "k", {"external_id": "e"}, version(6))
        assert await node.documents.get(ONE, "users", "k") == Held("k", {"external_id": "e"}, version(6))


async def what_never_was_can_be_deleted_for_good(data: Data) -> None:
    async with data() as node:
        assert await node.documents.delete(ONE, "things", "k", version(3))
        assert not await node.documents.put(ONE, "things", "k", {}, version(2))
        assert await node.documents.get(ONE, "things", "k") is None


async def many_are_got_in_one_read(data: Data) -> None:
    async with data() as node:
        for number in range(5):
            await node.documents.put(ONE, "things", f"k{number}", {"v": number}, version(1))
        found = await node.documents.get_many(ONE, "things", ["k3", "k1", "nothing", "k3"])
        assert found == {"k1": Held("k1", {"v": 1}, version(1)), "k3": Held("k3", {"v": 3}, version(1))}
        assert await node.documents.get_many(ONE, "things", []) == {}
        assert len(await node.documents.get_many(ONE, "things", [f"k{number}" for number in range(2_500)])) == 5


async def a_declared_index_finds_by_equality(data: Data) -> None:
    async with data() as node:
        for key, user in (("c1", "ann"), ("c2", "bob"), ("c3", "ann")):
            await node.documents.put(ONE, "memberships", key, {"user": user, "conversation": key, "joined": 1}, version(1))
        assert [held.key for held in await node.documents.find(ONE, "memberships", "of_user", ["ann"])] == ["c1", "c3"]
        assert await node.documents.find(ONE, "memberships", "of_user", ["bob"]) == [
            Held("c2", {"user": "bob", "conversation": "c2", "joined": 1}, version(1))]
        assert list(await node.documents.find(ONE, "memberships", "of_user", ["nobody"])) == []


async def an_index_follows_its_documents(data: Data) -> None:
    async with data() as node:
        async def keys(user: str) -> list[str]:
            return [held.key for held in await node.documents.find(ONE, "sessions", "of_user", [user])]

        await node.documents.put(ONE, "sessions", "s", {"user": "ann"}, version(1))
        await node.documents.put(ONE, "sessions", "s", {"user": "bob"}, version(2))
        assert (await keys("ann"), await keys("bob")) == ([], ["s"])
        await node.documents.put(ONE, "sessions", "s", {"user": "ann"}, version(1))
        assert (await keys("ann"), await keys("bob")) == ([], ["s"])
        await node.documents.put(ONE, "sessions", "s", {}, version(3))
        assert (await keys("ann"), await keys("bob")) == ([], [])
        await node.documents.put(ONE, "sessions", "s", {"user": None}, version(4))
        assert await keys("bob") == []


async def found_documents_are_ordered_and_paged(data: Data) -> None:
    async with data() as node:
        joined = {"e": 30, "d": 10, "c": 20, "b": 10, "a": 200}
        for key, seq in joined.items():
            await node.documents.put(ONE, "memberships", key, {"user": key, "conversation": "c", "joined": seq}, version(1))
        await node.documents.put(ONE, "memberships", "x", {"user": "x", "conversation": "c"}, version(1))

        async def keys(after: int | None, limit: int, newest: bool) -> list[str]:
            found = await node.documents.find(ONE, "memberships", "of_conversation", ["c"], after=after, limit=limit, newest=newest)
            return [held.key for held in found]

        assert await keys(None, 100, newest=False) == ["b", "d", "c", "e", "a"]
        assert await keys(None, 3, newest=False) == ["b", "d", "c"]
        assert await keys(20, 100, newest=False) == ["e", "a"]
        assert await keys(None, 2, newest=True) == ["a", "e"]
        assert await keys(20, 100, newest=True) == ["d", "b"]
        assert await keys(200, 100, newest=False) == []


async def an_index_without_equal_fields_goes_through_all(data: Data) -> None:
    async with data() as node:
        for name in ("zoe", "ann", "Bob", "10"):
            await node.documents.put(ONE, "users", f"id-{name}", {"external_id": name}, version(1))
        found = await node.documents.find(ONE, "users", "all", [], after="10", limit=2)
        assert [held.doc["external_id"] for held in found] == ["Bob", "ann"]


async def an_index_without_an_order_is_paged_by_key(data: Data) -> None:
    async with data() as node:
        for number in range(7):
            await node.documents.put(ONE, "memberships", f"c{number}/ann", {"user": "ann", "conversation": f"c{number}", "joined": 1}, version(1))
        first = await node.documents.find(ONE, "memberships", "of_user", ["ann"], limit=4)
        rest = await node.documents.find(ONE, "memberships", "of_user", ["ann"], limit=4, after=first[-1].key)
        assert [held.key for held in [*first, *rest]] == [f"c{number}/ann" for number in range(7)]


async def names_can_be_found_without_their_documents(data: Data) -> None:
    async with data() as node:
        for number in range(7):
            await node.documents.put(ONE, "memberships", f"c{number}/ann", {"user": "ann", "conversation": f"c{number}", "joined": 1}, version(1))
        await node.documents.delete(ONE, "memberships", "c3/ann", version(2))
        await node.documents.put(OTHER, "memberships", "x/ann", {"user": "ann", "conversation": "x", "joined": 1}, version(1))
        names = [f"c{number}/ann" for number in (0, 1, 2, 4, 5, 6)]
        assert list(await node.documents.keys(ONE, "memberships", "of_user", ["ann"])) == names
        assert list(await node.documents.keys(ONE, "memberships", "of_user", ["ann"], limit=2)) == names[:2]
        assert list(await node.documents.keys(ONE, "memberships", "of_user", ["bob"])) == []
        with pytest.raises(LookupError):
            await node.documents.keys(ONE, "memberships", "of_nobody", ["ann"])


class _Some(msgspec.Struct):
    at: int
    over: bool = False


async def some_fields_of_many_documents_in_one_look(data: Data) -> None:
    async with data() as node:
        keys = [f"k{number}" for number in range(1_100)]
        for number, key in enumerate(keys):
            over = {"over": True} if number == 7 else {}
            await node.documents.put(ONE, "heads", key, {"at": number, "about": {"name": "x" * 50}, **over}, version(1))
        await node.documents.delete(ONE, "heads", "k1", version(2))
        found = await node.documents.peek(ONE, "heads", [*keys, "nowhere"], _Some)
        assert sorted(found) == sorted(set(keys) - {"k1"})
        assert (found["k7"], found["k9"]) == (_Some(7, True), _Some(9))
        assert await node.documents.peek(ONE, "heads", [], _Some) == await node.documents.peek(OTHER, "heads", ["k2"], _Some) == {}


async def an_index_that_is_not_declared_is_a_mistake(data: Data) -> None:
    async with data() as node:
        for collection, index in (("users", "nothing"), ("things", "external")):
            with pytest.raises(LookupError):
                await node.documents.find(ONE, collection, index, ["x"])


async def tenants_with_identical_keys_never_see_each_other(data: Data) -> None:
    async with data() as node:
        await node.documents.put(OTHER, "users", "k", {"external_id": "e", "canary": True}, version(9))
        assert await node.documents.get(ONE, "users", "k") is None
        assert await node.documents.get_many(ONE, "users", ["k"]) == {}
        assert list(await node.documents.find(ONE, "users", "external", ["e"])) == []
        assert list(await node.documents.find(ONE, "users", "all", [])) == []
        assert await node.documents.put(ONE, "users", "k", {"external_id": "e"}, version(1))
        assert await node.documents.delete(ONE, "users", "k", version(2))
        assert await node.documents.get(OTHER, "users", "k") == Held("k", {"external_id": "e", "canary": True}, version(9))
        assert [held.key for held in await node.documents.find(OTHER, "users", "external", ["e"])] == ["k"]


async def what_cannot_be_kept_is_refused_and_nobody_else_suffers(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(node.documents.put, ONE, "things", f"good {number}", {"number": number}, version(1))
                nursery.start_soon(_refused, node, f"half a pair \ud800 {number}", {"number": number})
                nursery.start_soon(_refused, node, f"too large {number}", {"number": 2**70})
            assert await append(node.log, record(1)) == [None]
        assert len(await node.documents.get_many(ONE, "things", [f"good {number}" for number in range(20)])) == 20
        assert await node.documents.get_many(ONE, "things", [f"too large {number}" for number in range(20)]) == {}


async def _refused(node: Backend, key: str, doc: dict[str, object]) -> None:
    with pytest.raises(Unwritable):
        await node.documents.put(ONE, "things", key, doc, version(1))
