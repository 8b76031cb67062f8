"""REST: the command table over HTTP, sessions, and the shape of every refusal."""

import json
from typing import Any

import pytest
import trio
from msgspec import UNSET, Struct, UnsetType

from protocol.errors import CODES, Refused
from protocol.ids import make_uuid7, parse_act
from services.api_keys import ApiKeys
from services.applications import DEV, Applications
from services.commands import command, gather
from services.scope import Scope
from services.sessions import CreateSession, Sessions
from services.tenants import Tenants
from services.token_keys import TokenKeys
from services.users import Profile, Users
from services.vault import Vault
from storage.memory.backend import open_memory
from storage.memory.store import Store
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageFull
from tests.worlds import HandClock
from transport.rest import ANSWER_WITHIN_S, make_app

OP = "01890000-0000-7000-8000-000000000001"


class Chance:
    """Counts instead of drawing."""

    def __init__(self) -> None:
        self._number = 0

    def bytes(self, size: int) -> bytes:
        self._number += 1
        return self._number.to_bytes(8, "big").rjust(size, b"\1")[-size:]

    def random(self) -> float:
        return 0.5

    def uuid7(self) -> bytes:
        return make_uuid7(HandClock().ms, self.bytes(10))


class Wide(Struct, frozen=True):
    c: str
    limit: int | UnsetType = UNSET
    loud: bool | UnsetType = UNSET
    users: list[str] | UnsetType = UNSET
    op: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET


class Say(Struct, frozen=True):
    c: str
    id: str
    text: str = ""


class Things:
    """Commands that give back what they were given."""

    @command("thing.get", "GET /things/{c}")
    async def get(self, scope: Scope, p: Wide) -> dict[str, Any]:
        """What was said."""

    @command("thing.make", "POST /things/{c}", makes=True)
    async def make(self, scope: Scope, p: Wide) -> dict[str, Any]:
        """What was said."""

    @command("thing.say", "POST /things/{c}/said", makes=True, keyed="id")
    async def say(self, scope: Scope, p: Say) -> dict[str, Any]:
        """What was said."""

    @command("thing.drop", "DELETE /things/{c}/{id}", anyone=False)
    async def drop(self, scope: Scope, p: Say) -> dict[str, Any]:
        """What was said."""

    @command("thing.hidden")
    async def hidden(self, scope: Scope, p: Say) -> dict[str, Any]:
        """Has no route."""


class Echo:
    """A Dispatch that answers with what it was asked; or as it is told to."""

    def __init__(self) -> None:
        self.table = gather([Things()])
        self.failing: BaseException | None = None
        self.extra: dict[str, Any] = {}
        self.slow = 0.0

    async def call(self, scope, command, p):
        await trio.sleep(self.slow)
        if self.failing is not None:
            raise self.failing
        return {"m": command.name, "user": scope.external, "tenant": scope.tenant, "p": p, **self.extra}


class Rooms:
    async def submit(self, scope, act):
        raise Refused("unavailable")


class Site:
    """The application, and who may call it."""

    def __init__(self, documents, dev: bool, gate=None) -> None:
        clock, rng = HandClock(), Chance()
        vault = Vault(documents, rng, bytes(32))
        tenants = self.tenants = Tenants(vault.hash_key)
        self.clock, self.ids = clock, rng
        self.users = Users(documents, Rooms(), tenants, clock, rng)
        self.applications = Applications(documents, clock, rng)
        self.api_keys = ApiKeys(documents, clock, rng, dev=dev)
        self.token_keys = TokenKeys(documents, clock, rng)
        self.sessions = Sessions(documents, self.users, self.api_keys, self.token_keys, vault, tenants, clock, rng,
                                 lambda ending: self.sessions.gate.ended(ending))
        self.is_ready, self.noted = True, []
        self.dispatch = self.make_dispatch()
        self.app = make_app(self.dispatch, self.sessions, ids=rng, ready=lambda: self.is_ready, metrics=lambda: b"caas_things 1\n",
                            noted=lambda *note: self.noted.append(note), dev=dev, gate=gate)
        self.headers: dict[str, str] = {}
        self.peer = "10.1.2.3"
        self.host = "localhost:3000"

    def make_dispatch(self) -> Any:
        return Echo()

    async def begin(self) -> "Site":
        shop = await self.applications.create("Shop")
        self.tenant = shop.id
        self.key = await self.api_keys.create(shop)
        made = await self.sessions.create(Scope(shop.id), CreateSession(Profile("alice")))
        self.token, self.refresh_token = made["token"], made["refresh_token"]
        self.headers = {"Authorization": f"Bearer {self.token}"}
        return self

    async def ask(self, method: str, path: str, json_: Any = None, *, data: bytes | None = None, **headers: str):
        sent = {"Host": self.host, **self.headers, **{name.replace("_", "-"): value for name, value in headers.items() if value}}
        body = data if data is not None else None if json_ is None else json.dumps(json_).encode()
        response = await self.app.test_client().open(path, method=method, data=body, headers={k: v for k, v in sent.items() if v != "-"},
                                                     scope_base={"client": (self.peer, 1)})
        raw = await response.get_data()
        return response, (json.loads(raw) if "json" in (response.content_type or "") else raw)


@pytest.fixture
async def documents():
    async with open_memory(Store()) as backend:
        yield backend.documents


@pytest.fixture
async def site(documents):
    return await Site(documents, dev=False).begin()


@pytest.fixture
async def dev(documents):
    made = await Site(documents, dev=True).begin()
    await made.applications.create("Dev", "test", id=DEV)
    made.peer = "127.0.0.1"
    return made


def check_problem(response, body, code: str, status: int | None = None) -> None:
    assert response.content_type == "application/problem+json"
    assert response.status_code == body["status"] == (status or CODES[code].status)
    assert (body["code"], body["title"], body["retryable"]) == (code, CODES[code].title, CODES[code].retryable)
    assert body["type"] == f"urn:caas:error:{code}"
    assert body["message"]
    assert body["request_id"] == response.headers["X-Request-Id"] != ""


async def test_path_beats_body_beats_query(site):
    response, body = await site.ask("POST", "/api/v1/things/path?c=query&name=query&limit=3", {"c": "body", "name": "body", "unknown": 1})
    assert response.status_code == 201
    assert body["p"] == {"c": "path", "name": "body", "limit": 3, "unknown": 1}
    assert body["user"] == "alice"


async def test_query_values_become_what_their_fields_are(site):
    _, body = await site.ask("GET", "/api/v1/things/~x.1:a?limit=7&loud=true&users=a,b&users=c&name=12&other=9")
    assert body["p"] == {"c": "~x.1:a", "limit": 7, "loud": True, "users": ["a", "b", "c"], "name": "12"}


@pytest.mark.parametrize("query", ["limit=x", "limit=1.5", "limit=", "limit=07", "loud=maybe", "limit=1e400"])
async def test_a_query_that_cannot_be_is_refused_by_field(site, query):
    response, body = await site.ask("GET", f"/api/v1/things/c?{query}")
    check_problem(response, body, "bad_request")
    assert body["field"] == query.partition("=")[0]


async def test_a_get_has_no_body(site):
    _, body = await site.ask("GET", "/api/v1/things/c", {"name": "body"})
    assert body["p"] == {"c": "c"}


async def test_made_is_201_and_a_repeat_or_nothing_new_is_200(site):
    assert (await site.ask("POST", "/api/v1/things/c", {}))[0].status_code == 201
    assert (await site.ask("GET", "/api/v1/things/c"))[0].status_code == 200
    for flag in ("duplicate", "unchanged"):
        site.dispatch.extra = {flag: True}
        response, body = await site.ask("POST", "/api/v1/things/c", {})
        assert (response.status_code, body[flag]) == (200, True)


async def test_the_idempotency_key_becomes_op_where_none_is_given(site):
    _, body = await site.ask("POST", "/api/v1/things/c", {}, Idempotency_Key=OP)
    assert body["p"]["op"] == OP
    _, body = await site.ask("POST", "/api/v1/things/c", {"op": "own"}, Idempotency_Key=OP)
    assert body["p"]["op"] == "own"
    _, body = await site.ask("POST", "/api/v1/things/c", {})
    assert "op" not in body["p"]


async def test_an_idempotency_key_may_be_quoted_and_must_be_able_to_keep_its_promise(site):
    _, body = await site.ask("POST", "/api/v1/things/c", {}, Idempotency_Key=f'"{OP}"')
    assert body["p"]["op"] == OP
    _, body = await site.ask("POST", "/api/v1/things/c/said", {}, Idempotency_Key=f'"{OP}"')
    assert body["p"]["id"] == OP
    for key in ("order-7", OP[:-1] + "A", OP.replace("-7", "-4"), '"', "x" * 300):
        response, body = await site.ask("POST", "/api/v1/things/c", {}, Idempotency_Key=key)
        check_problem(response, body, "bad_request")
        assert body["field"] == "op"
    _, body = await site.ask("GET", "/api/v1/things/c", Idempotency_Key="order-7")
    assert body["p"] == {"c": "c"}  # reading has no act
    assert (await site.ask("DELETE", "/api/v1/things/c/1", Idempotency_Key="order-7", Authorization=f"Bearer {site.key}"))[0].status_code == 200


async def test_a_messages_id_is_its_own_then_the_key_then_the_servers(site):
    path = "/api/v1/things/c/said"
    assert (await site.ask("POST", path, {"id": "own"}, Idempotency_Key=OP))[1]["p"]["id"] == "own"
    assert (await site.ask("POST", path, {}, Idempotency_Key=OP))[1]["p"]["id"] == OP
    made = [(await site.ask("POST", path, {}, Idempotency_Key=key))[1]["p"]["id"] for key in ("", "order-7")]
    assert all(parse_act(id_) for id_ in made)
    assert len({*made, OP}) == 3


async def test_what_only_the_application_may(site):
    check_problem(*await site.ask("DELETE", "/api/v1/things/c/1"), "forbidden")
    check_problem(*await site.ask("DELETE", "/api/v1/things/c/1", Authorization=f"Bearer {site.key}", CAAS_User="alice"), "forbidden")
    response, body = await site.ask("DELETE", "/api/v1/things/c/1", Authorization=f"Bearer {site.key}")
    assert (response.status_code, body["p"]) == (200, {"c": "c", "id": "1"})


async def test_a_secret_key_acts_as_the_application_or_for_a_user(site):
    key = f"Bearer {site.key}"
    assert (await site.ask("GET", "/api/v1/things/c", Authorization=key))[1]["user"] == ""
    assert (await site.ask("GET", "/api/v1/things/c", Authorization=key, CAAS_User="alice"))[1]["user"] == "alice"
    response, body = await site.ask("GET", "/api/v1/things/c", Authorization=key, CAAS_User="nobody")
    check_problem(response, body, "not_found")
    assert (await site.ask("GET", "/api/v1/things/c", CAAS_User="bob"))[1]["user"] == "alice"  # ignored beside a user token


@pytest.mark.parametrize(("credential", "code"), [
    ("-", "not_authenticated"), ("Bearer", "not_authenticated"), ("Bearer  ", "not_authenticated"), ("Basic abc", "not_authenticated"),
    ("Bearer x.y.z", "token_invalid"), ("Bearer caas_sk_dev", "token_invalid"), ("Bearer caas_nonsense", "token_invalid"),
    ("Bearer " + "x" * 5000, "token_invalid"),
])
async def test_nobody_gets_in_without_a_good_credential(site, credential, code):
    response, body = await site.ask("GET", "/api/v1/things/c", Authorization=credential)
    check_problem(response, body, code)
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_an_expired_token_is_told_as_such(site):
    site.clock.ms += 16 * 60_000
    check_problem(*await site.ask("GET", "/api/v1/things/c"), "token_expired")


@pytest.mark.parametrize(("data", "code"), [
    (b"{", "bad_frame"), (b"\xff\xfe", "bad_frame"), (b'{"a": 1} x', "bad_frame"), (b"[]", "bad_request"), (b"1", "bad_request"),
    (b"null", "bad_request"),
    (b'{"a": 9007199254740992}', "bad_request"), (b'{"a":' * 20 + b"1" + b"}" * 20, "bad_request"),
    (json.dumps({"a": list(range(5_000))}).encode(), "bad_request"), (b"[" * 60_000, "bad_frame"),
])
async def test_bodies_that_cannot_be(site, data, code):
    check_problem(*await site.ask("POST", "/api/v1/things/c", data=data), code)


async def test_a_body_over_64_kib_is_too_large(site):
    response, body = await site.ask("POST", "/api/v1/things/c", {"name": "x" * 65_536})
    check_problem(response, body, "too_large")
    assert body["limit"]["name"] == "frame"
    fits = json.dumps({"name": "x" * 65_000})
    assert (await site.ask("POST", "/api/v1/things/c", data=fits.encode()))[0].status_code == 201


async def test_unknown_routes_and_methods(site):
    for path in ("/nothing", "/api/v1/nothing", "/api/v1/things", "/api/v2/things/c", "/api/v1/things/a/b/c/d", "/", "/page/index.html"):
        check_problem(*await site.ask("GET", path), "not_found")
    response, body = await site.ask("PUT", "/api/v1/things/c", {})
    check_problem(response, body, "bad_request", 405)
    assert {"GET", "POST"} <= {method.strip() for method in response.headers["Allow"].split(",")}
    check_problem(*await site.ask("OPTIONS", "/api/v1/things/c"), "bad_request", 405)
    check_problem(*await site.ask("POST", "/dev/token", {"user": "alice"}), "not_found")


async def test_every_refusal_has_its_shape(site):
    for code, row in CODES.items():
        site.dispatch.failing = Refused(code, field="p.text", limit=("text", 1, 2), retry_after_ms=1_200)
        response, body = await site.ask("GET", "/api/v1/things/c")
        check_problem(response, body, code)
        assert body["field"] == "p.text"
        assert body["limit"] == {"name": "text", "max": 1, "got": 2}
        assert response.headers.get("Retry-After") == ("2" if row.retryable else None)
        assert body.get("retry_after_ms") == (1_200 if row.retryable else None)


@pytest.mark.parametrize(("error", "code"), [(StorageFull(), "storage_full"), (StorageAway(), "unavailable"), (OutcomeUnknown(), "timeout"),
                                             (RuntimeError("a secret"), "internal"), (KeyError("a secret"), "internal")])
async def test_other_failures_become_refusals_and_tell_nothing(site, error, code):
    site.dispatch.failing = error
    response, body = await site.ask("GET", "/api/v1/things/c")
    check_problem(response, body, code)
    assert "secret" not in json.dumps(body)


async def test_an_answer_that_does_not_come_is_a_timeout(site, autojump_clock):
    site.dispatch.slow = ANSWER_WITHIN_S * 2
    began = trio.current_time()
    check_problem(*await site.ask("GET", "/api/v1/things/c"), "timeout")
    assert trio.current_time() - began == pytest.approx(ANSWER_WITHIN_S)


async def test_every_response_has_its_headers_and_an_id_of_its_own(site):
    ids = set()
    for method, path in (("GET", "/api/v1/things/c"), ("GET", "/nothing"), ("PUT", "/health"), ("GET", "/health")):
        response, _ = await site.ask(method, path)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        ids.add(response.headers["X-Request-Id"])
    assert len(ids) == 4


async def test_requests_are_noted_by_route_not_by_path(site):
    await site.ask("GET", "/api/v1/things/secret-name")
    await site.ask("GET", "/made-up")
    assert [note[:3] for note in site.noted] == [("GET", "/api/v1/things/<c>", 200), ("GET", "none", 404)]


async def test_health_readiness_and_figures_need_no_token(site):
    site.headers = {}
    assert (await site.ask("GET", "/health"))[0].status_code == 200
    assert (await site.ask("GET", "/ready"))[0].status_code == 200
    site.is_ready = False
    assert (await site.ask("GET", "/ready"))[0].status_code == 503
    assert (await site.ask("GET", "/health"))[0].status_code == 200
    assert (await site.ask("GET", "/metrics"))[1] == b"caas_things 1\n"


@pytest.mark.parametrize("path", ["/api/v1/sessions/create", "/api/sessions/create"])
async def test_a_company_makes_a_session_and_its_user_gets_in(site, path):
    asked = {"user": {"external_id": "bob", "display_name": "Bob"}}
    response, body = await site.ask("POST", path, asked, Authorization=f"Bearer {site.key}")
    assert response.status_code == 201
    assert body.keys() == {"token", "refresh_token", "expires_at", "user"}
    assert body["user"] == {"id": "bob", "display_name": "Bob"}
    assert (await site.ask("GET", "/api/v1/things/c", Authorization=f"Bearer {body['token']}"))[1]["user"] == "bob"
    check_problem(*await site.ask("POST", path, asked), "forbidden")


@pytest.mark.parametrize(("body", "field"), [({}, "user"), ({"user": {}}, "user.external_id"), ({"user": {"external_id": 7}}, "user.external_id"),
                                             ({"user": {"external_id": "a b"}}, "user.external_id"), ({"user": []}, "user"),
                                             ({"user": {"external_id": "a", "display_name": "x" * 300}}, "user.display_name")])
async def test_a_session_for_nobody_is_refused_by_field(site, body, field):
    response, said = await site.ask("POST", "/api/v1/sessions/create", body, Authorization=f"Bearer {site.key}")
    check_problem(response, said, "bad_request")
    assert said["field"] == field


async def test_a_session_is_refreshed_without_any_other_credential(site):
    site.headers = {}
    response, body = await site.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": site.refresh_token})
    assert response.status_code == 201
    assert (await site.ask("GET", "/api/v1/things/c", Authorization=f"Bearer {body['token']}"))[0].status_code == 200
    check_problem(*await site.ask("POST", "/api/v1/sessions/refresh", {"refresh_token": "x"}), "token_invalid")
    check_problem(*await site.ask("POST", "/api/v1/sessions/refresh", {}), "bad_request")


async def test_a_session_is_ended_by_its_user(site):
    session = site.refresh_token.split(".")[2]
    response, body = await site.ask("DELETE", f"/api/v1/sessions/{session}")
    assert (response.status_code, body) == (200, {})
    check_problem(*await site.ask("GET", "/api/v1/things/c"), "token_invalid")


async def test_all_sessions_of_a_user_are_ended_by_the_application(site):
    response, body = await site.ask("DELETE", "/api/v1/users/alice/sessions", Authorization=f"Bearer {site.key}")
    assert (response.status_code, body) == (200, {})
    check_problem(*await site.ask("GET", "/api/v1/things/c"), "token_invalid")
    check_problem(*await site.ask("DELETE", "/api/v1/users/nobody/sessions", Authorization=f"Bearer {site.key}"), "not_found")


async def test_another_applications_key_finds_nothing_of_ours(site):
    other = await site.applications.create("Other")
    key = f"Bearer {await site.api_keys.create(other)}"
    session = site.refresh_token.split(".")[2]
    check_problem(*await site.ask("DELETE", f"/api/v1/sessions/{session}", Authorization=key), "not_found")
    check_problem(*await site.ask("DELETE", "/api/v1/users/alice/sessions", Authorization=key), "not_found")
    check_problem(*await site.ask("GET", "/api/v1/things/c", Authorization=key, CAAS_User="alice"), "not_found")
    assert (await site.ask("GET", "/api/v1/things/c", Authorization=key))[1]["tenant"] == other.id
    assert (await site.ask("GET", "/api/v1/things/c"))[0].status_code == 200


async def test_the_development_set_up_gives_tokens_to_this_machine(dev):
    response, body = await dev.ask("POST", "/dev/token", {"user": "alice"}, Authorization="-")
    assert response.status_code == 201
    assert (await dev.ask("GET", "/api/v1/things/c", Authorization=f"Bearer {body['token']}"))[1]["tenant"] == DEV
    assert (await dev.ask("GET", "/api/v1/things/c", Authorization="Bearer caas_sk_dev"))[1]["tenant"] == DEV
    check_problem(*await dev.ask("POST", "/dev/token", {}), "bad_request")


@pytest.mark.parametrize(("peer", "host"), [("10.0.0.1", "localhost:3000"), ("127.0.0.1", "evil.example"), ("127.0.0.1", "localhost.evil.example"),
                                            ("127.0.0.1", "evil.example:3000"), ("", "localhost"), ("127.0.0.1", "127.0.0.1.evil:80")])
async def test_what_is_for_this_machine_is_nothing_to_others(dev, peer, host):
    dev.peer, dev.host = peer, host
    check_problem(*await dev.ask("POST", "/dev/token", {"user": "alice"}), "not_found")
    check_problem(*await dev.ask("GET", "/"), "not_found")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:3000", "[::1]:3000", "[::1]"])
async def test_this_machine_has_several_names(dev, host):
    dev.host = host
    assert (await dev.ask("POST", "/dev/token", {"user": "alice"}))[0].status_code == 201


async def test_the_page_is_served_by_name_alone(dev, tmp_path, monkeypatch):
    monkeypatch.setattr("transport.development.PAGE", tmp_path)
    (tmp_path / "index.html").write_text("<p>chat")
    (tmp_path / "page.js").write_text("1")
    (tmp_path / "secret.txt").write_text("x")
    response, body = await dev.ask("GET", "/")
    assert (response.status_code, body) == (200, b"<p>chat")
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    response, _ = await dev.ask("GET", "/page/page.js")
    assert response.content_type == "text/javascript; charset=utf-8"
    for name in ("secret.txt", "none.js", "..%2findex.html", "%2e%2e", ".html", "index.html%00.js"):
        check_problem(*await dev.ask("GET", f"/page/{name}"), "not_found")
