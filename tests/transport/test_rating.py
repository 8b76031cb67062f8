"""Rates over REST: what is let in, and what its headers say."""

from typing import Any

import pytest

from actors.rates import Left, Rates
from services.rates.bank import Bank
from services.rates.model import Allowance, Policy, changed
from storage.memory.backend import open_memory
from storage.memory.store import Store
from tests.transport.test_rest import Site, check_problem
from tests.worlds import HandClock
from transport.rating import Gate, headers

POLICY = Policy(user=changed(Policy().user, {"read": 1, "admin": 0.5}, {"read": 3, "admin": 2}))


@pytest.fixture
async def site(autojump_clock):
    bank = Bank(POLICY)

    def borrow(tenant: str, caller: str, rate: int, want: int, answer: Any) -> None:
        answer(list(bank.lend(autojump_clock.current_time(), f"{caller}", rate, want)), None)

    async with open_memory(Store()) as backend:
        yield await Site(backend.documents, False, Gate(Rates(POLICY, borrow), HandClock())).begin()


async def test_every_counted_response_says_what_is_left(site):
    for left in (2, 1, 0):
        response, _ = await site.ask("GET", "/api/v1/things/c")
        assert response.status_code == 200
        assert response.headers["RateLimit-Policy"] == '"read";q=3;w=3'
        assert response.headers["RateLimit"] == f'"read";r={left};t={3 - left}'
        assert response.headers["X-RateLimit-Limit"] == "3"
        assert response.headers["X-RateLimit-Remaining"] == str(left)
        assert response.headers["X-RateLimit-Reset"] == str(HandClock().ms // 1000 + 3 - left)


async def test_over_it_is_429_with_retry_after_until_it_has_filled_up(site, autojump_clock):
    for _ in range(3):
        await site.ask("GET", "/api/v1/things/c")
    response, body = await site.ask("GET", "/api/v1/things/c")
    check_problem(response, body, "too_many")
    assert response.headers["Retry-After"] == "1"
    assert 0 < body["retry_after_ms"] <= 1_000
    assert body["limit"] == {"name": "read", "max": 3, "got": 4}
    assert response.headers["RateLimit"] == '"read";r=0;t=3'
    autojump_clock.jump(1)
    assert (await site.ask("GET", "/api/v1/things/c"))[0].status_code == 200


async def test_classes_and_callers_are_counted_apart(site, autojump_clock):
    for _ in range(2):
        assert (await site.ask("POST", "/api/v1/things/c", {}))[0].status_code == 201
    check_problem(*await site.ask("POST", "/api/v1/things/c", {}), "too_many")
    assert (await site.ask("GET", "/api/v1/things/c"))[0].status_code == 200
    key = f"Bearer {site.key}"
    for user in ("", "alice"):  # whoever shows a secret key draws on the application's allowance
        response, _ = await site.ask("POST", "/api/v1/things/c", {}, Authorization=key, CAAS_User=user)
        assert (response.status_code, response.headers["RateLimit-Policy"]) == (201, '"admin";q=500;w=5')
    assert int(response.headers["X-RateLimit-Remaining"]) == 498


async def test_sessions_are_counted_and_what_needs_no_credential_is_not(site):
    made, _ = await site.ask("POST", "/api/v1/sessions/create", {"user": {"external_id": "bob"}}, Authorization=f"Bearer {site.key}")
    assert made.headers["RateLimit-Policy"] == '"admin";q=500;w=5'
    for path in ("/health", "/ready", "/metrics", "/nowhere"):
        response, _ = await site.ask("GET", path)
        assert "RateLimit" not in response.headers
    refused, _ = await site.ask("GET", "/api/v1/things/c", Authorization="Bearer x.y.z")
    assert "RateLimit" not in refused.headers


def test_the_headers_round_up():
    told = headers(Left("tenant-send", Allowance(0.3, 10), 9), 1_500)
    assert told["RateLimit-Policy"] == '"tenant-send";q=10;w=34'
    assert told["RateLimit"] == '"tenant-send";r=9;t=4'
    assert told["X-RateLimit-Reset"] == "6"
