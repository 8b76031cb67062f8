"""The rules of the port Log, each a function named after it."""

from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter

import pytest
import trio

from storage.ports.entry import NOWHERE, Place, decode_entry
from storage.ports.errors import Unwritable
from storage.ports.log import Change, Log, Record, Row, Storing
from tests.contracts.data import ONE, OTHER, WITHIN_S, Data, Scope, accept, append, entry, follow, head, op, read, record, silent, step, stored


async def what_is_appended_comes_back_whole_and_in_order(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        assert await append(node.log, record(1, 2), record(3)) == [None, None]
        rows = await read(node.log, 3)
        assert [decode_entry(row.data).op for row in rows] == [op(1), op(2), op(3)]
        assert [(row.partition, row.tenant, row.conversation) for row in rows] == [(3, "tenant-one", "c")] * 3
        assert all(earlier.place < later.place for earlier, later in pairwise(rows))
        assert rows[0].place > NOWHERE
        assert rows[0].place.generation == node.log.generation


async def a_records_entries_stand_together(data: Data) -> None:
    async with data() as one, data() as other:
        await follow(one.log, 3)
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(append, one.log, record(*range(number * 10, number * 10 + 10), conversation=f"a{number}"))
                nursery.start_soon(append, other.log, record(*range(number * 10, number * 10 + 10), conversation=f"b{number}"))
        names = [row.conversation for row in await read(one.log, 200)]
        assert all(len(set(names[begin : begin + 10])) == 1 for begin in range(0, 200, 10))


async def the_verdict_comes_later_and_once(data: Data) -> None:
    async with data() as node:
        verdicts: list[object] = []
        node.log.append(record(1), verdicts.append)
        assert verdicts == []
        for number in range(2, 12):
            await append(node.log, record(number))
        assert verdicts == [None]


async def what_was_acknowledged_is_there_for_the_next_opener(data: Data) -> None:
    async with data() as node:
        assert await append(node.log, record(1, 2, 3)) == [None]
    async with data() as node:
        await follow(node.log, 3)
        assert [decode_entry(row.data).op for row in await read(node.log, 3)] == [op(1), op(2), op(3)]


async def two_nodes_read_the_same_rows_at_the_same_places(data: Data) -> None:
    async with data() as one, data() as other:
        await follow(one.log, 3, 4)
        await follow(other.log, 3, 4)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(append, one.log, record(number, conversation=f"a{number}"))
                nursery.start_soon(append, other.log, record(100 + number, conversation=f"b{number}", partition=4))
        at = attrgetter("place", "partition")
        assert sorted(await read(one.log, 40), key=at) == sorted(await read(other.log, 40), key=at)


async def only_followed_partitions_come(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, partition=3), record(2, partition=4), record(3, partition=3))
        assert [decode_entry(row.data).op for row in await read(node.log, 2)] == [op(1), op(3)]
        assert await silent(node.log)


async def following_begins_right_after_the_place_named(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2, 3, 4))
        places = [row.place for row in await read(node.log, 4)]
    async with data() as node:
        await follow(node.log, 3, after=places[1])
        assert [row.place for row in await read(node.log, 2)] == places[2:]
        await append(node.log, record(5))
        assert decode_entry((await read(node.log, 1))[0].data).op == op(5)


async def following_says_how_far_the_log_reaches(data: Data) -> None:
    """Whoever takes a partition on knows by this when all that was acknowledged before has come."""
    async with data() as one, data() as other:
        await follow(other.log, 3)
        await append(other.log, record(1, 2), record(3, partition=4))
        first, second = [row.place for row in await read(other.log, 2)]
        assert await one.log.follow({3: NOWHERE}) == {3: second}
        assert await one.log.follow({3: NOWHERE, 5: NOWHERE}) == {}
        assert [row.place for row in await read(one.log, 2)] == [first, second]
    async with data() as late:
        assert await late.log.follow({3: second}) == {}


async def the_end_covers_what_was_acknowledged_to_anybody(data: Data) -> None:
    """Whoever has read up to there may deny what is not there."""
    async with data() as one, data() as other:
        assert await one.log.ends([3, 4]) == {}
        await follow(one.log, 3)
        for number in range(0, 30, 3):
            assert await append(other.log, record(number, number + 1, number + 2), record(100 + number, partition=5)) == [None, None]
            end = (await one.log.ends([3, 4]))[3]
            rows: list[Row] = []
            while not rows or rows[-1].place < end:
                with trio.fail_after(WITHIN_S):
                    rows += await one.log.receive()
            assert [decode_entry(row.data).op for row in rows] == [op(number), op(number + 1), op(number + 2)]


async def taking_on_a_partition_neither_loses_nor_doubles(data: Data) -> None:
    async with data() as one, data() as other:
        await follow(one.log, 3)

        async def write(partition: int) -> None:
            for number in range(40):
                await append(other.log, record(number, partition=partition, conversation=f"c{partition}"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, 3)
            nursery.start_soon(write, 4)
            rows = list(await one.log.receive())
            nursery.start_soon(follow, one.log, 3, 4)
            while len(rows) < 80:
                with trio.fail_after(20):
                    rows += await one.log.receive()
        for partition in (3, 4):
            mine = [row for row in rows if row.partition == partition]
            assert [decode_entry(row.data).op for row in mine] == [op(number) for number in range(40)]
            assert all(earlier.place < later.place for earlier, later in pairwise(mine))


async def a_partition_left_comes_no_more(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3, 4)
        await append(node.log, record(1, partition=4))
        await follow(node.log, 3)
        await append(node.log, record(2, partition=4), record(3, partition=3))
        assert {row.partition for row in await read(node.log, 1)} == {3}
        assert await silent(node.log)


async def a_partition_taken_back_begins_where_it_is_told(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2, 3))
        first = await read(node.log, 3)
        await follow(node.log)
        await follow(node.log, 3, after=first[0].place)
        assert await read(node.log, 2) == first[1:]


async def what_was_left_and_is_followed_again_comes_from_where_one_says(data: Data) -> None:
    """Whatever came meanwhile, and though nothing else was followed in between."""
    async with data() as node, data() as other:
        await follow(node.log, 3, 4)
        await append(node.log, record(1, 2))
        before = await read(node.log, 2)
        node.log.leave([3])
        await append(other.log, record(3, 4), record(5, partition=4))
        assert [row.partition for row in await read(node.log, 1)] == [4]
        assert await silent(node.log)
        with trio.fail_after(WITHIN_S):
            await node.log.follow({3: before[0].place, 4: NOWHERE})
        assert [decode_entry(row.data).op for row in await read(node.log, 3)] == [op(2), op(3), op(4)]
        await append(other.log, record(6), record(7, partition=4))
        assert sorted(row.partition for row in await read(node.log, 2)) == [3, 4]


async def a_partition_followed_already_goes_on_where_it_is(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2))
        await read(node.log, 2)
        await follow(node.log, 3, 5)
        await append(node.log, record(3))
        assert decode_entry((await read(node.log, 1))[0].data).op == op(3)


async def receive_loses_nothing_when_it_is_cancelled(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        rows: list[Row] = []
        for number in range(30):
            node.log.append(record(number), lambda error: None)
            with trio.move_on_after(0.0005 * (number % 5)):
                rows += await node.log.receive()
        rows += await read(node.log, 30 - len(rows)) if len(rows) < 30 else []
        assert [decode_entry(row.data).op for row in rows] == [op(number) for number in range(30)]


async def what_is_stored_can_be_read_by_seq(data: Data) -> None:
    async with stored(data, 5) as node:
        rows = await node.log.entries(ONE, "c", 0, 100, 100)
        assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
        assert [row.n for row in rows] == [1, 2, 3, 4, 5]
        assert [decode_entry(row.data).body for row in rows] == [b"body %d" % number for number in range(1, 6)]


async def what_is_not_stored_cannot_be_read_by_seq(data: Data) -> None:
    async with stored(data, 2) as node:
        await append(node.log, record(3))
        assert [row.seq for row in await node.log.entries(ONE, "c", 0, 100, 100)] == [1, 2]
        assert await node.log.find(ONE, "c", [op(3)]) == {}


async def entries_are_paged_both_ways_and_always_in_order(data: Data) -> None:
    async with stored(data, 10) as node:
        async def seqs(after: int, before: int, limit: int, newest: bool) -> list[int]:
            return [row.seq for row in await node.log.entries(ONE, "c", after, before, limit, newest=newest)]

        assert await seqs(0, 11, 3, newest=False) == [1, 2, 3]
        assert await seqs(3, 11, 3, newest=False) == [4, 5, 6]
        assert await seqs(0, 11, 3, newest=True) == [8, 9, 10]
        assert await seqs(0, 8, 3, newest=True) == [5, 6, 7]
        assert await seqs(4, 6, 10, newest=True) == [5]
        assert await seqs(5, 6, 10, newest=False) == []
        assert await seqs(10, 100, 10, newest=False) == []


async def entries_can_be_asked_for_by_kind(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        kinds = ["message.send", "message.edit", "message.send", "member.add", "message.edit"]
        await append(node.log, Record(3, ONE.tenant, "c", [entry(number, kind=kind) for number, kind in enumerate(kinds, 1)]))
        rows = await read(node.log, 5)
        accepted = [accept(row, seq, seq, kinds[seq - 1]) for seq, row in enumerate(rows, 1)]
        await node.log.store(Storing(accepted, (), [head(ONE, "c", 5, 1, rows[-1].place)], {3: rows[-1].place}))
        found = await node.log.entries(ONE, "c", 0, 9, 9, kinds=["message.edit", "member.add", "never.seen"])
        assert [row.seq for row in found] == [2, 4, 5]
        assert [row.seq for row in await node.log.entries(ONE, "c", 0, 9, 1, kinds=["message.edit"], newest=True)] == [5]
        assert [row.seq for row in await node.log.entries(ONE, "c", 0, 9, 9, seqs=[4, 1, 99])] == [1, 4]
        assert [row.seq for row in await node.log.entries(ONE, "c", 1, 9, 9, kinds=["message.edit"], seqs=[1, 2, 3])] == [2]


async def one_entry_of_each_of_many_conversations_in_one_read(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        names = [f"c{number}" for number in range(600)]
        await append(node.log, *(Record(3, ONE.tenant, name, [entry(number, conversation=name)]) for number, name in enumerate(names, 1)),
                     Record(3, OTHER.tenant, "c0", [entry(700, scope=OTHER, conversation="c0")]))
        rows = await read(node.log, 601)
        await node.log.store(Storing([accept(row, 1, 1) for row in rows], (), (), {3: rows[-1].place}))
        found = await node.log.of_each(ONE, [*((name, 1) for name in names), ("c7", 2), ("nowhere", 1)])
        assert sorted(found) == sorted((name, 1) for name in names)
        assert decode_entry(found["c0", 1].data).body == b"body 1"
        assert await node.log.of_each(ONE, []) == {}


async def an_act_is_found_however_old(data: Data) -> None:
    async with stored(data, 50) as node:
        found = await node.log.find(ONE, "c", [op(7)])
        assert [(of, row.seq, decode_entry(row.data).body) for of, row in found.items()] == [(op(7), 7, b"body 7")]
        assert await node.log.find(ONE, "c", [op(51)]) == {}
        assert await node.log.find(ONE, "d", [op(7)]) == {}


async def many_acts_are_found_in_one_read(data: Data) -> None:
    async with stored(data, 50) as node:
        found = await node.log.find(ONE, "c", {op(number) for number in range(1, 100, 3)})
        assert {of: row.seq for of, row in found.items()} == {op(number): number for number in range(1, 51, 3)}
        assert await node.log.find(ONE, "c", []) == {}


async def storing_twice_does_nothing(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2, 3))
        rows = await read(node.log, 3)
        for _ in range(2):
            await node.log.store(step(rows))
        assert [row.seq for row in await node.log.entries(ONE, "c", 0, 9, 9)] == [1, 2, 3]
        assert len(await node.log.stored_after(3, NOWHERE, 9)) == 3


async def a_ghosts_late_step_does_nothing(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2, 3))
        rows = await read(node.log, 3)
        await node.log.store(step(rows))
        await node.log.store(step(rows[:2]))
        assert await node.log.stored_places() == {3: rows[2].place}
        loaded = await node.log.load(ONE, "c", 3)
        assert (loaded.stored, loaded.head) == (rows[2].place, {"seq": 3, "window": 1})
        assert [row.seq for row in loaded.window] == [1, 2, 3]


async def stored_places_are_those_of_partitions_that_have_one(data: Data) -> None:
    async with data() as node:
        assert await node.log.stored_places() == {}
        await node.log.store(Storing(places={3: Place(1, 7), 5: Place(1, 9)}))
        assert await node.log.stored_places() == {3: Place(1, 7), 5: Place(1, 9)}
        await node.log.store(Storing(places={3: Place(1, 6)}))
        await node.log.store(Storing(places={5: Place(2, 1)}))
        assert await node.log.stored_places() == {3: Place(1, 7), 5: Place(2, 1)}


async def a_new_conversation_loads_as_nothing(data: Data) -> None:
    async with data() as node:
        loaded = await node.log.load(ONE, "new", 3)
        assert (loaded.stored, loaded.head, list(loaded.parts), list(loaded.window)) == (NOWHERE, None, [], [])


async def loading_gives_head_parts_and_window(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(*range(1, 11)))
        rows = await read(node.log, 10)
        last = rows[-1].place
        parts = [Change(ONE.tenant, "parts", key, {"of": key}, last) for key in ("c/000001", "c/000000", "cc/000000", "c0/000000", "b/000000")]
        base = step(rows, window=7)
        await node.log.store(base._replace(changes=parts))
        loaded = await node.log.load(ONE, "c", 3)
        assert loaded.stored == last
        assert loaded.head == {"seq": 10, "window": 7}
        assert [part["of"] for part in loaded.parts] == ["c/000000", "c/000001"]
        assert [row.seq for row in loaded.window] == [7, 8, 9, 10]
        assert [row.place for row in loaded.window] == [row.place for row in rows[6:]]


async def loading_lacks_nothing_while_storing_goes_on(data: Data) -> None:
    """Nothing that is read is older than what was read before it: the stored place, the head, then parts and window."""
    async with data() as node, data() as reader:
        await follow(node.log, 3)
        await append(node.log, *(record(number) for number in range(1, 41)))
        rows = await read(node.log, 40)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_store_one_by_one, node.log, rows)
            whole = 0
            while whole < 40:
                loaded = await reader.log.load(ONE, "c", 3)
                if loaded.head is not None:
                    seq, part = loaded.head["seq"], loaded.parts[0]["seq"]
                    assert loaded.stored <= rows[seq - 1].place
                    assert seq <= part
                    assert [row.seq for row in loaded.window] == list(range(1, seq + 1))
                    whole = seq if part == seq else whole
        assert (await reader.log.load(ONE, "c", 3)).stored == rows[-1].place


async def _store_one_by_one(log: Log, rows: Sequence[Row]) -> None:
    for number, row in enumerate(rows, 1):
        part = Change(ONE.tenant, "parts", "c/000000", {"seq": number}, row.place)
        await log.store(step([row], first=number, window=1)._replace(changes=[part]))


async def a_read_after_the_acknowledgement_sees_it(data: Data) -> None:
    async with data() as node, data() as other:
        await follow(node.log, 3)
        for number in range(1, 21):
            await append(node.log, record(number))
            await node.log.store(step(await read(node.log, 1), first=number))
            for each in (node, other):
                loaded = await each.log.load(ONE, "c", 3)
                assert loaded.head is not None
                assert loaded.head["seq"] == number


async def followers_see_stored_entries_in_order_of_place(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3, 4)
        await append(node.log, record(1, 2, conversation="a"), record(1, conversation="b"), record(1, partition=4, conversation="x"))
        rows = await read(node.log, 4)
        a, b = [row for row in rows if row.conversation == "a"], [row for row in rows if row.conversation == "b"]
        x = [row for row in rows if row.conversation == "x"]
        await node.log.store(step(a)._replace(places={3: max(a[-1].place, b[-1].place), 4: x[-1].place},
                                              entries=[*step(a).entries, *step(b).entries, *step(x).entries]))
        found = await node.log.stored_after(3, NOWHERE, 10)
        assert [(each.tenant, each.conversation, each.row.seq) for each in found] == sorted(
            [(ONE.tenant, "a", 1), (ONE.tenant, "a", 2), (ONE.tenant, "b", 1)], key=lambda each: next(
                row.place for row in rows if (row.conversation, decode_entry(row.data).op) == (each[1], op(each[2]))))
        assert await node.log.stored_after(3, NOWHERE, 2) == found[:2]
        assert await node.log.stored_after(3, found[1].row.place, 10) == found[2:]
        assert await node.log.stored_after(3, found[2].row.place, 10) == []


async def followers_never_see_beyond_the_stored_place(data: Data) -> None:
    async with stored(data, 3) as node:
        await append(node.log, record(4, 5))
        await read(node.log, 2)
        place = (await node.log.stored_places())[3]
        found = await node.log.stored_after(3, NOWHERE, 100)
        assert [each.row.seq for each in found] == [1, 2, 3]
        assert all(each.row.place <= place for each in found)


async def refused_entries_never_become_stored_ones(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2, 3))
        rows = await read(node.log, 3)
        await node.log.store(Storing([accept(rows[0], 1, 1), accept(rows[2], 2, 3)], (), [head(ONE, "c", 2, 1, rows[2].place)], {3: rows[2].place}))
        assert [decode_entry(row.data).op for row in await node.log.entries(ONE, "c", 0, 9, 9)] == [op(1), op(3)]
        assert [each.row.seq for each in await node.log.stored_after(3, NOWHERE, 9)] == [1, 2]
        assert await node.log.find(ONE, "c", [op(2)]) == {}


async def a_cleared_body_is_gone_and_its_stub_stays(data: Data) -> None:
    async with stored(data, 3) as node:
        place = (await node.log.stored_places())[3]
        for _ in range(2):
            await node.log.store(Storing(places={3: place}, cleared=[(ONE.tenant, "c", 2), (ONE.tenant, "c", 99), (ONE.tenant, "no", 1)]))
        stub, whole = [decode_entry(row.data) for row in await node.log.entries(ONE, "c", 1, 9, 9)]
        assert (stub.op, stub.body, stub.key) == (op(2), b"", "")
        assert whole.body == b"body 3"
        assert [decode_entry(each.row.data).body for each in await node.log.stored_after(3, NOWHERE, 9)] == [b"body 1", b"", b"body 3"]
        found = await node.log.find(ONE, "c", [op(2)])
        assert decode_entry(found[op(2)].data).body == b""


async def a_damaged_entry_is_handed_on_as_it_is_and_never_renumbered(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        whole = entry(2)
        bad = whole[:-1] + bytes([whole[-1] ^ 1])
        await append(node.log, Record(3, ONE.tenant, "c", [entry(1), bad, entry(3)]))
        rows = await read(node.log, 3)
        assert rows[1].data == bad
        await node.log.store(step(rows))
        await node.log.store(Storing(places={3: rows[2].place}, cleared=[(ONE.tenant, "c", 2)]))
        again = await node.log.entries(ONE, "c", 0, 9, 9)
        assert [(row.seq, row.data) for row in again] == [(1, entry(1)), (2, bad), (3, entry(3))]


async def tenants_with_identical_names_never_see_each_other(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        canary = entry(1, scope=OTHER, body=b"canary")
        await append(node.log, Record(3, OTHER.tenant, "c", [canary]))
        await node.log.store(step(await read(node.log, 1)))
        await append(node.log, record(1, 2))
        await node.log.store(step(await read(node.log, 2)))
        for scope in (ONE, Scope("c"), Scope("")):
            rows = [*await node.log.entries(scope, "c", 0, 99, 99), *(await node.log.load(scope, "c", 3)).window]
            found = await node.log.find(scope, "c", [op(1)])
            assert all(b"canary" not in row.data for row in [*rows, *found.values()])
        assert len(await node.log.entries(ONE, "c", 0, 99, 99)) == 2
        assert [row.data for row in await node.log.entries(OTHER, "c", 0, 99, 99)] == [canary]
        await node.log.store(Storing(cleared=[(ONE.tenant, "c", 1)]))
        assert [row.data for row in await node.log.entries(OTHER, "c", 0, 99, 99)] == [canary]


async def keys_of_several_parts_do_not_run_together(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        pairs = [("ab", "c"), ("a", "bc"), ("a/b", "c"), ("a", "b/c")]
        for number, (tenant, conversation) in enumerate(pairs, 1):
            await append(node.log, record(number, scope=Scope(tenant), conversation=conversation))
            [row] = await read(node.log, 1)
            await node.log.store(Storing([accept(row, 1, number)], places={3: row.place}))
        for number, (tenant, conversation) in enumerate(pairs, 1):
            rows = await node.log.entries(Scope(tenant), conversation, 0, 9, 9)
            assert [decode_entry(row.data).op for row in rows] == [op(number)]


async def a_step_that_cannot_be_kept_is_refused_whole(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3)
        await append(node.log, record(1, 2))
        rows = await read(node.log, 2)
        good = step(rows)
        for doc, key in (({"number": 2**70}, "k"), ({"number": 1}, "half a pair \ud800")):
            with pytest.raises(Unwritable):
                await node.log.store(good._replace(changes=[Change(ONE.tenant, "things", key, doc, rows[-1].place)]))
        assert await node.log.entries(ONE, "c", 0, 99, 99) == []
        assert await node.log.stored_places() == {}
        await node.log.store(good)
        assert [row.seq for row in await node.log.entries(ONE, "c", 0, 99, 99)] == [1, 2]


async def what_one_node_alone_follows_it_stores(data: Data) -> None:
    async with data() as node:
        await follow(node.log, 3, 4)
        assert set(node.log.stores([])) == set()
        with trio.fail_after(WITHIN_S):
            while set(node.log.stores([3, 4])) != {3, 4}:
                await trio.sleep(0.01)
