"""Rates as strangers meet them: a real set-up of two workers with its limits on."""

import json
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.journeys.conftest import serving, token


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two workers, on which a user may say ten things, and hardly any more."""
    with serving(tmp_path_factory.mktemp("limits") / "data", CAAS_USER_BURSTS="send=10", CAAS_USER_RATES_PER_S="send=0.01") as base:
        yield base


def send(base: str, bearer: str, **headers: str) -> tuple[int, dict[str, str], dict[str, object]]:
    """Say something in the lobby, over a connection of its own, so that any worker may get it."""
    given = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json", **headers}
    try:
        with urlopen(Request(f"{base}/api/v1/conversations/lobby/messages", b'{"text": "x"}', given), timeout=30) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, json.load(answer)
    except HTTPError as refused:
        return refused.code, {name.lower(): value for name, value in refused.headers.items()}, json.load(refused)


def test_one_allowance_over_all_workers_and_a_way_to_see_it(limited: str) -> None:
    alice = token(limited, "alice")
    answers = [send(limited, alice) for _ in range(20)]
    assert 8 <= [status for status, _, _ in answers].count(201) <= 12  # ten, and a slice of two of the other worker
    status, headers, body = answers[-1]
    assert (status, body["code"], body["retryable"]) == (429, "too_many", True)
    assert int(headers["retry-after"]) >= 1
    assert headers["ratelimit-policy"] == '"send";q=10;w=1000'
    assert headers["ratelimit"].startswith('"send";r=0;t=')
    with urlopen(Request(f"{limited}/api/v1/limits", headers={"Authorization": f"Bearer {alice}"}), timeout=30) as answer:
        told = json.load(answer)
    assert told["caller"]["send"]["remaining"] <= 2
    assert told["tenant"]["send"]["burst"] == 3_000


def test_others_and_the_company_go_on(limited: str) -> None:
    assert send(limited, token(limited, "bob"))[0] == 201
    for _ in range(20):
        assert send(limited, "caas_sk_dev", **{"CAAS-User": "bob"})[0] == 201


def test_it_is_counted(limited: str) -> None:
    carol = token(limited, "carol")
    while send(limited, carol)[0] != 429:
        pass
    for _ in range(50):  # a worker writes its figures down once a second
        with urlopen(f"{limited}/metrics", timeout=30) as answer:
            figures = dict(line.split() for line in answer.read().decode().splitlines() if line.startswith("caas_rate"))
        if float(figures["caas_rate_limited_total"]) >= 1:
            return
        time.sleep(0.1)
    raise AssertionError(figures)
