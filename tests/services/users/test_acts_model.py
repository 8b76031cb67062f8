"""Acts on users, put through random lives: repeats, conflicts, other workers, deaths in between; beside a model that is a dict."""

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import Refused
from protocol.ids import make_uuid7, show_act
from services.scope import Scope
from services.users import Profile
from services.users.model import Put, Show, Update
from storage.memory.backend import open_memory
from storage.memory.store import Store
from tests.services.conftest import HandClock, NotedRooms, Worker

APP = Scope("t1")
FIELDS = ("display_name", "avatar_url")


class Died(Exception):
    """The worker is gone in the middle of a write."""


class Dying:
    """Documents of a worker that dies at its n-th write: just before it, or just after."""

    def __init__(self, documents: Any) -> None:
        self._documents, self.left, self.after = documents, -1, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._documents, name)

    async def put(self, *change: Any) -> bool:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Died
        done: bool = await self._documents.put(*change)
        if self.left == 0:
            raise Died
        return done


steps = st.tuples(
    st.sampled_from(["update", "put"]), st.none() | st.integers(0, 4),  # the act's number; none: it has no id
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["a", "b", None]), max_size=2), st.integers(0, 2),  # the worker
    st.sampled_from([0, 0, 0, 1, 2, 3, 4]), st.booleans())  # at which write it dies (0: never), and whether after it


def after(user: dict[str, Any], verb: str, fields: dict[str, Any]) -> dict[str, Any]:
    """What a user is after a change."""
    kept = {} if verb == "put" else {name: value for name, value in user.items() if name != "id"}
    return {"id": "alice", **{name: value for name, value in {**kept, **fields}.items() if value is not None}}


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=12))
def test_each_act_counts_once_with_its_first_answer(lives: list[tuple[str, int | None, dict[str, Any], int, int, bool]]) -> None:
    trio.run(walk, lives)


async def walk(lives: list[tuple[str, int | None, dict[str, Any], int, int, bool]]) -> None:
    async with open_memory(Store()) as backend:
        documents = Dying(backend.documents)
        clock, rooms = HandClock(), NotedRooms()
        workers = [Worker(documents, rooms, clock, seed=seed) for seed in (1, 2, 3)]
        for worker in workers:
            await worker.tenants.ready("t1")
        await workers[0].users.ensure(APP, Profile("alice"))
        now, answered = {"id": "alice"}, dict[int, tuple[Any, dict[str, Any]]]()
        for verb, act, fields, which, dies, late in lives:
            users = workers[which].users
            op = {} if act is None else {"op": show_act(make_uuid7(clock.ms, bytes([act]) * 10))}
            p = (Put if verb == "put" else Update)(user="alice", **fields, **op)
            said = (verb, {name: fields.get(name) for name in FIELDS} if verb == "put" else fields)
            if act in answered and answered[act][0] != said:
                with pytest.raises(Refused) as caught:
                    await getattr(users, verb)(APP, p)
                assert caught.value.code == "id_conflict"
                continue
            documents.left, documents.after = dies or -1, late
            try:
                r = await getattr(users, verb)(APP, p)
            except Died:  # whether it counted: the user tells, and a repeat must not count again
                documents.left = -1
                found = (await users.show(APP, Show("alice")))["user"]
                assert found in (now, after(now, verb, fields))
                r = await getattr(users, verb)(APP, p)
            documents.left = -1
            if act in answered:
                assert r["duplicate"] and r["user"] == answered[act][1]
            else:
                now = after(now, verb, fields)
                assert r["user"] == now
                if act is not None:
                    answered[act] = said, now
            assert (await users.show(APP, Show("alice")))["user"] == now
