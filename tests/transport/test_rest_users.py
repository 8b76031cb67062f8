"""Users over REST: the routes, who may use them, and what they answer."""

import pytest

from actors.dispatch import Dispatch
from actors.load import Load
from protocol.ids import make_uuid7, show_act
from services.commands import gather
from services.scope import Scope
from services.users import Profile
from storage.memory.backend import open_memory
from storage.memory.store import Store
from tests.transport.test_rest import Rooms, Site, check_problem


class UsersSite(Site):
    def make_dispatch(self):
        return Dispatch(gather([self.users]), Rooms(), self.tenants, Load())


@pytest.fixture
async def site():
    async with open_memory(Store()) as backend:
        yield await UsersSite(backend.documents, dev=False).begin()


@pytest.fixture
def company(site):
    """Asks with the secret key."""

    async def ask(method, path, body=None, **headers):
        return await site.ask(method, f"/api/v1{path}", body, **{"Authorization": f"Bearer {site.key}", **headers})

    return ask


async def test_a_company_makes_replaces_changes_and_shows_its_users(company):
    made, body = await company("PUT", "/users/bob", {"display_name": "Bob", "custom": {"a": 1}})
    assert (made.status_code, body["user"]) == (201, {"id": "bob", "display_name": "Bob", "custom": {"a": 1}})
    again, body = await company("PUT", "/users/bob", {"display_name": "Bob"})
    assert (again.status_code, body["user"]) == (200, {"id": "bob", "display_name": "Bob"})
    changed, body = await company("PATCH", "/users/bob", {"display_name": None, "avatar_url": "https://x/b.png", "id": "eve"})
    assert (changed.status_code, body) == (200, {"user": {"id": "bob", "avatar_url": "https://x/b.png"}})
    _, body = await company("GET", "/users/bob")
    assert body == {"user": {"id": "bob", "avatar_url": "https://x/b.png"}}
    check_problem(*await company("GET", "/users/nobody"), "not_found")
    check_problem(*await company("PATCH", "/users/nobody", {"display_name": "N"}), "not_found")


@pytest.mark.parametrize(("body", "code", "field"), [
    ({"display_name": 7}, "bad_request", "display_name"), ({"display_name": "x" * 257}, "bad_request", "display_name"),
    ({"avatar_url": "x" * 2_049}, "bad_request", "avatar_url"), ({"custom": []}, "bad_request", "custom"),
    ({"custom": {"x": "y" * 4_096}}, "too_large", "custom"), ({"op": "x"}, "bad_request", "op"),
])
async def test_a_bad_field_is_named_and_nobody_is_made(company, body, code, field):
    for method in ("PUT", "PATCH"):
        _, refused = answer = await company(method, "/users/alice" if method == "PATCH" else "/users/bob", body)
        check_problem(*answer, code)
        assert refused["field"] == field
    check_problem(*await company("GET", "/users/bob"), "not_found")


async def test_a_users_token_changes_that_user_alone_and_lists_nobody(site, company):
    await site.users.ensure(Scope(site.tenant), Profile("bob"))
    _, body = await site.ask("PATCH", "/api/v1/users/alice", {"display_name": "Alice"})
    assert body["user"] == {"id": "alice", "display_name": "Alice"}
    _, body = await site.ask("GET", "/api/v1/users/bob")
    assert body["user"] == {"id": "bob"}
    for method in ("PUT", "PATCH"):
        check_problem(*await site.ask(method, "/api/v1/users/bob", {"display_name": "X"}), "forbidden")
        check_problem(*await site.ask(method, "/api/v1/users/new", {"display_name": "X"}), "forbidden")
        check_problem(*await company(method, "/users/bob", {"display_name": "X"}, CAAS_User="alice"), "forbidden")
    check_problem(*await site.ask("GET", "/api/v1/users"), "forbidden")
    check_problem(*await company("GET", "/users", CAAS_User="alice"), "forbidden")


async def test_the_list_is_paged_by_cursor(company):
    for name in ("bob", "carol", "dave"):
        await company("PUT", f"/users/{name}", {})
    _, first = await company("GET", "/users?limit=3")
    assert [user["id"] for user in first["items"]] == ["alice", "bob", "carol"]
    _, last = await company("GET", f"/users?limit=3&cursor={first['next']}")
    assert last == {"items": [{"id": "dave"}]}
    check_problem(*await company("GET", "/users?cursor=x"), "bad_request")
    check_problem(*await company("GET", "/users?limit=0"), "bad_request")


async def test_an_idempotency_key_makes_a_repeat_harmless(site, company):
    key = show_act(make_uuid7(site.clock.ms, bytes(10)))
    first, body = await company("PUT", "/users/bob", {"display_name": "Bob"}, Idempotency_Key=key)
    await company("PATCH", "/users/bob", {"display_name": "Robert"})
    again, repeated = await company("PUT", "/users/bob", {"display_name": "Bob"}, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert repeated["user"] == body["user"] and repeated["duplicate"]
    check_problem(*await company("PUT", "/users/bob", {"display_name": "Bobby"}, Idempotency_Key=key), "id_conflict")
    _, now = await company("GET", "/users/bob")
    assert now["user"]["display_name"] == "Robert"
