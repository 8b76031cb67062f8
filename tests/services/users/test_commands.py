"""What is said of users: by themselves, by the company; once for each act."""

import msgspec
import pytest
import trio

from protocol.errors import Refused
from protocol.ids import make_uuid7, show_act
from services.scope import Scope
from services.users import Profile
from services.users.model import KEPT_MS, Get, List, Put, Show, Update

APP, OTHER = Scope("t1"), Scope("t2")


async def refused(awaitable) -> tuple[str, str | None]:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code, caught.value.field


@pytest.fixture
async def alice(worker) -> Scope:
    await worker.tenants.ready("t2")
    internal, _ = await worker.users.ensure(APP, Profile("alice", display_name="Alice", custom={"team": "red"}))
    return Scope("t1", internal, "alice", "s1")


def op_of(worker, number: int = 0, ago_ms: int = 0) -> str:
    return show_act(make_uuid7(worker.clock.ms - ago_ms, number.to_bytes(10, "big")))


async def shown(worker, name="alice") -> dict:
    return (await worker.users.show(APP, Show(name)))["user"]


async def test_users_are_got_in_the_order_asked_and_unknown_ones_are_left_out(worker, alice):
    await worker.users.ensure(APP, Profile("bob"))
    await worker.users.ensure(OTHER, Profile("eve"))
    found = await worker.users.get(alice, Get(["bob", "nobody", "alice", "eve", "bob"]))
    assert found == {"items": [{"id": "bob"}, {"id": "alice", "display_name": "Alice", "custom": {"team": "red"}}]}
    assert await worker.users.get(alice, Get([])) == {"items": []}


async def test_a_hundred_users_at_a_time_and_no_impossible_ids(worker, alice):
    assert (await worker.users.get(alice, Get(["alice"] * 100)))["items"]
    assert await refused(worker.users.get(alice, Get(["x"] * 101))) == ("too_large", "users")
    assert await refused(worker.users.get(alice, Get(["alice", "a/b"]))) == ("bad_request", "users.1")


async def test_one_user_is_shown_or_not_found(worker, alice):
    assert (await worker.users.show(alice, Show("alice")))["user"]["display_name"] == "Alice"
    for unknown in ("bob", "me", "", "a/b", "x" * 200):
        assert await refused(worker.users.show(alice, Show(unknown))) == ("not_found", "user")
    assert await refused(worker.users.show(OTHER, Show("alice"))) == ("not_found", "user")


async def test_a_user_changes_what_is_given_of_oneself_and_null_clears(worker, alice):
    assert await worker.users.update(alice, Update(avatar_url="https://x/a.png", custom=None)) == {
        "user": {"id": "alice", "display_name": "Alice", "avatar_url": "https://x/a.png"}}
    assert await worker.users.update(alice, Update(user="alice", display_name=None)) == {"user": {"id": "alice", "avatar_url": "https://x/a.png"}}
    assert await worker.users.update(alice, Update(display_name=None)) == {
        "user": {"id": "alice", "avatar_url": "https://x/a.png"}, "unchanged": True}
    assert [act.kind for act in worker.rooms.said] == ["user.created", "user.updated", "user.updated"]


async def test_a_user_changes_nobody_else_and_the_application_anybody(worker, alice):
    await worker.users.ensure(APP, Profile("bob"))
    for change in (worker.users.update(alice, Update(user="bob", display_name="X")), worker.users.put(alice, Put(user="bob")),
                   worker.users.put(alice, Put(user="nobody"))):
        assert await refused(change) == ("forbidden", "user")
    assert await shown(worker, "bob") == {"id": "bob"}
    assert (await worker.users.update(APP, Update(user="bob", display_name="Bob")))["user"] == {"id": "bob", "display_name": "Bob"}
    assert await refused(worker.users.update(APP, Update(display_name="Nobody"))) == ("bad_request", "user")
    assert await refused(worker.users.update(APP, Update(user="carol", display_name="C"))) == ("not_found", "user")
    assert await refused(worker.users.update(OTHER, Update(user="bob", display_name="C"))) == ("not_found", "user")


async def test_put_says_all_there_is_of_a_user(worker, alice):
    assert await worker.users.put(APP, Put(user="dave", display_name="Dave")) == {"user": {"id": "dave", "display_name": "Dave"}, "created": True}
    assert await worker.users.put(APP, Put(user="dave", avatar_url="https://x/d.png")) == {
        "user": {"id": "dave", "avatar_url": "https://x/d.png"}, "created": False}
    assert (await worker.users.put(alice, Put()))["user"] == {"id": "alice"}
    assert await refused(worker.users.put(APP, Put(user="me"))) == ("bad_request", "user")


async def test_what_cannot_be_kept_is_refused_by_field_and_makes_nobody(worker, alice):
    big, deep = {"x": "y" * 4_096}, {"a": {1: 2}}
    for custom, code in ((big, "too_large"), (deep, "bad_request")):
        assert await refused(worker.users.put(APP, Put(user="dave", custom=custom))) == (code, "custom")
        assert await refused(worker.users.update(alice, Update(custom=custom))) == (code, "custom")
    assert await refused(worker.users.show(APP, Show("dave"))) == ("not_found", "user")


async def test_the_list_goes_through_all_users_of_the_application_in_order_of_their_ids(worker, alice):
    names = sorted(["alice", *(f"user-{number:03}" for number in range(230))])
    for name in names[1:]:
        await worker.users.ensure(APP, Profile(name))
    await worker.users.ensure(OTHER, Profile("eve"))
    seen, cursor = [], msgspec.UNSET
    for size in (100, 100, 31):
        page = await worker.users.list(APP, List(cursor, 1_000))
        assert len(page["items"]) == size
        seen += [user["id"] for user in page["items"]]
        cursor = page.get("next")
    assert seen == names
    assert cursor is None
    assert len((await worker.users.list(APP, List()))["items"]) == 50
    assert await refused(worker.users.list(APP, List("what?"))) == ("bad_request", "cursor")


@pytest.mark.parametrize("between", [0, 1, 3])
async def test_the_same_act_again_has_the_first_answer_whatever_has_happened_since(worker, alice, between):
    change = Update(display_name="Alicia", op=op_of(worker))
    first = await worker.users.update(alice, change)
    for number in range(between):
        await worker.users.update(APP, Update(user="alice", display_name=f"Other {number}", op=op_of(worker, 9 + number)))
    other = worker.sibling()
    await other.tenants.ready("t1")
    assert await other.users.update(alice, change) == {**first, "duplicate": True}
    assert (await shown(worker))["display_name"] == (f"Other {between - 1}" if between else "Alicia")


async def test_an_act_that_changed_nothing_is_remembered_too(worker, alice):
    change = Update(display_name="Alice", op=op_of(worker))
    assert (await worker.users.update(alice, change))["unchanged"]
    await worker.users.update(alice, Update(display_name="Alicia"))
    again = await worker.users.update(alice, change)
    assert again["unchanged"] and again["duplicate"] and again["user"]["display_name"] == "Alice"
    assert (await shown(worker))["display_name"] == "Alicia"


async def test_the_id_of_an_act_with_another_body_or_by_somebody_else_is_a_conflict(worker, alice):
    op = op_of(worker)
    await worker.users.update(alice, Update(display_name="Alicia", op=op))
    for scope, change in ((alice, Update(display_name="Ali", op=op)), (alice, Update(display_name="Alicia", avatar_url=None, op=op)),
                          (APP, Update(user="alice", display_name="Alicia", op=op))):
        assert await refused(worker.users.update(scope, change)) == ("id_conflict", "op")
    assert await refused(worker.users.put(alice, Put(display_name="Alicia", op=op))) == ("id_conflict", "op")
    await worker.users.update(alice, Update(display_name="Later"))
    assert await refused(worker.users.update(alice, Update(display_name="Ali", op=op))) == ("id_conflict", "op")
    assert (await worker.users.update(alice, Update(user="alice", display_name="Alicia", op=op)))["duplicate"]


async def test_putting_with_an_act_makes_a_user_once(worker, alice):
    change = Put(user="dave", display_name="Dave", op=op_of(worker))
    first = await worker.users.put(APP, change)
    await worker.users.update(APP, Update(user="dave", display_name="David"))
    assert await worker.users.put(APP, change) == {**first, "duplicate": True, "created": False}
    assert (await shown(worker, "dave"))["display_name"] == "David"


async def test_an_act_that_a_worker_died_of_is_finished_by_its_repeat(worker, alice):
    """It dies when the user is written and the application's conversation has not heard of it."""
    change = Update(display_name="Alicia", op=op_of(worker))
    put, writes = worker.documents.put, []

    async def dying(scope, collection, *rest):
        done = await put(scope, collection, *rest)
        writes.append(collection)
        if collection == "users":
            raise OSError("killed")
        return done

    worker.documents.put = dying
    with pytest.raises(OSError):
        await worker.users.update(alice, change)
    worker.documents.put = put
    assert await worker.users.update(alice, change) == {"user": {"id": "alice", "display_name": "Alicia", "custom": {"team": "red"}},
                                                        "duplicate": True}


async def test_of_many_repeats_and_other_changes_at_once_each_act_counts_once(worker, alice):
    """Every act is asked for on three workers at the same time; in the end each has had one effect, told once."""
    workers = [worker, worker.sibling(2), worker.sibling(3)]
    for one in workers:
        await one.tenants.ready("t1")
    answers: dict[int, list[dict]] = {number: [] for number in range(4)}

    async def ask(one, number):
        answers[number].append(await one.users.update(alice, Update(display_name=f"Name {number}", op=op_of(worker, number))))

    async with trio.open_nursery() as nursery:
        for number in answers:
            for one in workers:
                nursery.start_soon(ask, one, number)
    for number, of_act in answers.items():
        assert [answer["user"]["display_name"] for answer in of_act] == [f"Name {number}"] * 3
        assert sum("duplicate" not in answer for answer in of_act) == 1
    assert (await worker.documents.find(APP, "users", "external", ("alice",)))[0].doc["change"] == 5


async def test_an_act_older_than_what_is_remembered_is_refused_and_the_record_forgotten(worker, alice):
    change = Update(display_name="Alicia", op=op_of(worker))
    await worker.users.update(alice, change)
    worker.clock.ms += KEPT_MS
    assert (await worker.users.update(alice, change))["duplicate"]
    worker.clock.ms += 1
    assert await refused(worker.users.update(alice, change)) == ("id_expired", "op")
    worker.clock.ms += 2 * 24 * 3_600_000
    for number in range(2):
        await worker.users.update(alice, Update(display_name=f"N{number}", op=op_of(worker, number)))
    await worker.users.update(alice, Update(display_name="last"))
    assert len(await worker.documents.find(APP, "user_acts", "of_user", (alice.user,))) == 2


@pytest.mark.parametrize(("op", "code"), [("x", "bad_request"), ("01890000-0000-4000-8000-000000000001", "bad_request"),
                                         ("0FFFFFFF-FFFF-7000-8000-000000000001", "bad_request"),
                                         ("0fffffff-ffff-7000-8000-000000000001", "id_in_future")])
async def test_an_act_must_be_a_uuid7_of_now(worker, alice, op, code):
    assert await refused(worker.users.update(alice, Update(display_name="A", op=op))) == (code, "op")
