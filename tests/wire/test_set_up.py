"""Section 7: the development set-up as it is promised; and a set-up with limits on."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.wire.client import Wire, rest, uuid7
from tests.wire.conftest import Dev


def test_ready_is_a_line_of_its_own(dev: Dev, tmp_path: Path) -> None:
    dev.out.seek(0)
    assert [line for line in dev.out.read().split("\n") if line.startswith("ready")] == [f"ready http://127.0.0.1:{dev.port}"]
    assert rest(dev.port, "GET", "/ready", token=None).status == 200


def test_its_users_and_keys(limited: Dev) -> None:
    got = limited.rest("GET", "/users").body["items"]
    assert {"alice", "bob", "carol"} <= {u["id"] for u in got}
    for user in ("alice", "bob", "carol"):
        limited.connect(user)


def test_two_people_with_limits_on(limited: Dev) -> None:
    one, two = limited.connect("alice"), limited.connect("bob")
    c = one.ask("conversation.create", type="direct", members=["bob"], op=uuid7())["conversation"]["id"]
    for x in (one, two):
        x.ask("conversation.watch", c=c)
    for k in range(10):
        one.ask("message.send", c=c, id=uuid7(), text=str(k))
    assert [two.push("message.new", c)["p"]["text"] for _ in range(10)] == [str(k) for k in range(10)]


def test_too_many(limited: Dev) -> None:
    one = limited.connect(limited.user())
    c = one.ask("conversation.create", type="group", op=uuid7())["conversation"]["id"]
    asked = [one.say("message.send", c=c, id=uuid7(), text="x") for _ in range(150)]
    codes = []
    for i in asked:
        try:
            one.answer(i)
        except Exception as no:
            codes.append(no.args[0])
    assert codes, "limits are on"
    for e in codes:
        assert (e["code"], e["retryable"]) == ("too_many", True)
        assert type(e["retry_after_ms"]) is int
        assert e["retry_after_ms"] > 0
        assert set(e.get("limit", {"name": 1, "max": 1, "got": 1})) == {"name", "max", "got"}


@pytest.fixture(scope="module")
def echo() -> "subprocess.Popen[str]":  # type: ignore[misc]
    caas = Path(sys.executable).parent / "caas"
    with subprocess.Popen(
        [str(caas), "echo", "--port", "0", "--max-message", "1000", "--max-fragments", "3"], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process  # type: ignore[misc]
        process.terminate()


def test_echo(echo: "subprocess.Popen[str]") -> None:
    assert echo.stdout is not None
    line = echo.stdout.readline()
    found = re.fullmatch(r"ready \S*?(\d+)/?\n", line)
    assert found, line
    port = int(found[1])
    for path in ("/", "/ws", "/any/path?x=1"):
        one = Wire(port, protocols="", path=path)
        sent = [b"\x81\xa1t\x01", b"\x81\xa1t\x02", b"\x81\xa1t\x03"]
        one.raw(sent[0])
        one.raw(sent[1])
        one.frame(2, sent[2][:1], fin=False)
        one.frame(0, b"", fin=False)
        one.frame(0, sent[2][1:])
        deadline = time.monotonic() + 10
        while len(one.frames) < 3:
            assert one._some(deadline)
        assert one.frames == sent
        one.frame(2, b"x" * 1001)
        assert one.until_closed().code == 1009
        one.end()
    one = Wire(port, protocols="")
    one.frame(2, b"\x80", fin=False)
    for _ in range(3):
        one.frame(0, b"", fin=False)
    assert one.until_closed().code == 1009
    one.end()


def test_what_was_said_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Dev(tmp_path, "--limits", "off", "--workers", "2")
    try:
        one = first.connect("alice")
        c = one.ask("conversation.create", type="group", members=["bob"], op=uuid7())["conversation"]["id"]
        watched = one.ask("conversation.watch", c=c)
        acts = [(uuid7(), k) for k in range(20)]
        said = [one.ask("message.send", c=c, id=message, text=str(k)) for message, k in acts]
        tokens = dict(first.tokens)
    finally:
        first.stop()
    again = Dev(tmp_path, "--limits", "off", "--workers", "1")
    try:
        again.tokens = tokens  # they are good for as long as they were
        two = again.connect("alice", resume={c: {"seq": watched["head"], "epoch": watched["epoch"]}})
        assert [two.push("message.new", c)["p"]["id"] for _ in acts] == [message for message, _ in acts]
        for (message, k), r in zip(acts, said, strict=True):
            assert two.ask("message.send", c=c, id=message, text=str(k)) == {**r, "duplicate": True}
        assert two.ask("message.send", c=c, id=uuid7(), text="more")["seq"] == said[-1]["seq"] + 1
    finally:
        again.stop()


def test_the_secret_key_names_the_application_and_the_publishable_one_is_no_credential(dev: Dev) -> None:
    assert rest(dev.port, "GET", "/api/v1/users", token="caas_sk_dev").status == 200
    assert rest(dev.port, "GET", "/api/v1/users", token="caas_pk_dev").status == 401
