"""Users: one internal id for each name, whoever asks first; and the application's conversation hears of every change."""

import msgspec
import pytest
import trio

from protocol.errors import Refused
from services.acts import Act
from services.deciding import Fold
from services.kinds import parts_of
from services.scope import Scope
from services.users import KINDS, Profile
from services.users.rules import check_profile

T1, T2 = Scope("t1"), Scope("t2")


async def test_a_user_is_made_once_and_then_only_what_is_given_changes(worker):
    first, user = await worker.users.ensure(T1, Profile("alice", display_name="Alice", custom={"a": 1}))
    again, changed = await worker.users.ensure(T1, Profile("alice", avatar_url="https://x/a.png"))
    assert first == again
    assert first.startswith("u")
    assert len(first) == 21
    assert user.shown() == {"id": "alice", "display_name": "Alice", "custom": {"a": 1}}
    assert changed.shown() == {**user.shown(), "avatar_url": "https://x/a.png"}
    _, cleared = await worker.users.ensure(T1, Profile("alice", display_name=None))
    assert cleared.shown() == {"id": "alice", "custom": {"a": 1}, "avatar_url": "https://x/a.png"}
    assert await worker.users.of_internal(T1, [first, "unobody"]) == {first: cleared.shown()}


async def test_many_workers_at_once_make_one_user(worker):
    workers = [worker, *(worker.sibling(seed) for seed in range(2, 6))]
    made: list[str] = []

    async def ensure(one, number):
        made.append((await one.users.ensure(T1, Profile("alice", custom={str(number): number})))[0])

    async with trio.open_nursery() as nursery:
        for number, one in enumerate(workers):
            nursery.start_soon(ensure, one, number)
    assert len(set(made)) == 1
    assert len(await worker.documents.find(T1, "users", "external", ("alice",))) == 1


async def test_changes_of_different_fields_at_once_are_all_kept(worker):
    await worker.users.ensure(T1, Profile("alice"))
    other = worker.sibling()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.users.ensure, T1, Profile("alice", display_name="Alice"))
        nursery.start_soon(other.users.ensure, T1, Profile("alice", avatar_url="https://x/a.png"))
    _, user = await worker.users.ensure(T1, Profile("alice"))
    assert user.shown() == {"id": "alice", "display_name": "Alice", "avatar_url": "https://x/a.png"}


async def test_unknown_users_are_left_out_and_become_known_when_made(worker):
    alice, _ = await worker.users.ensure(T1, Profile("alice"))
    assert await worker.users.of_external(T1, ["bob", "alice"]) == {"alice": alice}
    bob, _ = await worker.sibling().users.ensure(T1, Profile("bob"))
    assert await worker.users.of_external(T1, ["bob", "alice", "bob"]) == {"bob": bob, "alice": alice}


async def test_the_same_name_in_two_tenants_is_two_users(worker):
    one, _ = await worker.users.ensure(T1, Profile("alice", display_name="One"))
    other, _ = await worker.users.ensure(T2, Profile("alice"))
    assert one != other
    assert await worker.users.of_internal(T2, [one]) == {}
    assert await worker.users.of_external(T2, ["alice"]) == {"alice": other}


async def test_creating_and_changing_are_told_and_saying_nothing_new_is_not(worker):
    internal, _ = await worker.users.ensure(T1, Profile("alice", display_name="Alice"))
    await worker.users.ensure(T1, Profile("alice", display_name="Alice"))
    await worker.users.ensure(T1, Profile("alice", display_name="Alicia"))
    created, updated = worker.rooms.said
    assert (created.kind, updated.kind) == ("user.created", "user.updated")
    assert created.conversation == updated.conversation == worker.tenants.known("t1").application()
    assert created.facts == {"user": internal}
    assert created.body == {"user": "alice", "display_name": "Alice"}
    assert created.actor == internal  # sealed under the user's own key: erased with it
    assert updated.body["display_name"] == "Alicia"
    assert worker.rooms.asked == 2


@pytest.mark.parametrize("code", ["unavailable", "timeout"])
async def test_a_user_stands_though_nobody_could_be_told_and_is_told_later_once(worker, code):
    worker.rooms.refusing = code
    internal, _user = await worker.users.ensure(T1, Profile("alice"))
    assert await worker.users.of_internal(T1, [internal]) == {internal: {"id": "alice"}}
    worker.rooms.refusing = ""
    worker.clock.ms += 60_000
    for _ in range(3):
        await worker.sibling().users.ensure(T1, Profile("alice"))
    assert [act.kind for act in worker.rooms.said] == ["user.created"]
    assert worker.rooms.asked == 2


async def test_telling_is_given_up_after_five_times_until_the_next_change(worker):
    worker.rooms.refusing = "unavailable"
    for _ in range(8):
        await worker.users.ensure(T1, Profile("alice"))
    assert worker.rooms.asked == 5
    worker.rooms.refusing = ""
    await worker.users.ensure(T1, Profile("alice", display_name="A"))
    assert [act.kind for act in worker.rooms.said] == ["user.updated"]


async def test_a_repeat_of_telling_is_the_same_act(worker):
    internal, _user = await worker.users.ensure(T1, Profile("alice"))
    held = await worker.documents.get(T1, "users", internal)
    untold = {**held.doc, "told": 0}
    await worker.documents.put(T1, "users", internal, untold, held.place._replace(offset=held.place.offset + 1))
    await worker.users.ensure(T1, Profile("alice"))
    assert worker.rooms.asked == 2
    assert len(worker.rooms.said) == 1


@pytest.mark.parametrize(("profile", "field"), [
    ({"external_id": "me"}, "user.external_id"), ({"external_id": ""}, "user.external_id"), ({"external_id": "a/b"}, "user.external_id"),
    ({"external_id": "x" * 129}, "user.external_id"), ({"external_id": "a\0"}, "user.external_id"),
    ({"external_id": "a", "custom": {"x": "y" * 4096}}, "user.custom"),
])
def test_profiles_that_cannot_be_are_refused_by_field(profile, field):
    with pytest.raises(Refused) as caught:
        check_profile(msgspec.convert(profile, Profile), "user")
    assert caught.value.field == field


def test_the_fold_takes_users_entries_only_where_nobody_made_a_conversation():
    fold = Fold(parts_of(KINDS))
    act = Act("~app", "user.created", bytes(16), b"", {"user": "u1"}, {})
    assert fold.decide(act.kind, act.op, act).refusal == ""
    assert fold.decide(act.kind, act.op, msgspec.structs.replace(act, facts={})).refusal == "bad_request"
    fold.type = "group"
    assert fold.decide(act.kind, act.op, act).refusal == "forbidden"
