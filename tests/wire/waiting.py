"""What the protocol says in seconds, all of it at once: each part waits in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.wire.client import Wire, uuid7

if TYPE_CHECKING:
    from tests.wire.conftest import Dev

SLACK_S = 8.0  # for a busy machine


def group(dev: Dev, size: int) -> tuple[str, list[str], list[Wire]]:
    people = [dev.user() for _ in range(size)]
    sockets = [dev.connect(p) for p in people]
    c = sockets[0].ask("conversation.create", type="group", members=people[1:], op=uuid7())["conversation"]["id"]
    return c, people, sockets


def no_hello(dev: Dev) -> Callable[[], None]:
    one = dev.socket()
    began = time.monotonic()

    def run() -> None:
        end = one.until_closed(5 + SLACK_S)
        assert (end.code, end.reason) == (4501, "no_hello")
        assert time.monotonic() - began > 4.5

    return run


def heads(dev: Dev) -> Callable[[], None]:
    c, _, (a, b) = group(dev, 2)
    quiet = b.ask("conversation.create", type="group", op=uuid7())["conversation"]["id"]
    epoch = b.ask("conversation.watch", c=c)["epoch"]
    b.ask("conversation.watch", c=quiet)
    a.ask("message.send", c=c, id=uuid7(), text="x")
    b.push("message.new", c)

    def run() -> None:
        began = time.monotonic()
        got = b.push("heads", within=25 + SLACK_S)
        assert set(got) == {"t", "p"}
        assert set(got["p"]) == {"epoch", "conversations"}
        assert got["p"]["epoch"] == epoch
        assert got["p"]["conversations"].get(c) == 2
        assert b.pings >= 1
        again = b.push("heads", within=25 + SLACK_S)
        assert again["p"]["conversations"] == {}, "only what moved since"
        assert time.monotonic() - began < 50 + 2 * SLACK_S

    return run


def empty_heads(dev: Dev) -> Callable[[], None]:
    idle = dev.connect(dev.user())

    def run() -> None:
        first = idle.push("heads", within=25 + SLACK_S)
        assert set(first["p"]["conversations"]) <= {"me"}
        began = time.monotonic()
        second = idle.push("heads", within=25 + SLACK_S)
        assert second["p"]["conversations"] == {}
        assert time.monotonic() - began > 20
        assert idle.pings >= 2

    return run


def typing_ends(dev: Dev) -> Callable[[], None]:
    c, people, (a, b) = group(dev, 2)
    b.ask("conversation.watch", c=c)

    def run() -> None:
        a.ask("typing.start", c=c)
        b.push("typing.started", c)
        began = time.monotonic()
        b.push("typing.stopped", c, within=6 + SLACK_S)
        assert time.monotonic() - began > 5
        for _ in range(3):  # repeated, it goes on
            a.ask("typing.start", c=c)
            b.push("typing.started", c)
            time.sleep(3)
        assert not [p for p in b.pushes if p["t"] == "typing.stopped"]
        b.push("typing.stopped", c, within=6 + SLACK_S, user=people[0])

    return run


def offline(dev: Dev, *, invisible: bool) -> Callable[[], None]:
    user = dev.user()
    one, other = dev.connect(user), dev.connect(dev.user())
    assert other.ask("presence.watch", users=[user])["items"][0]["status"] == "online"

    def run() -> None:
        if invisible:
            one.ask("presence.set", status="invisible")
        else:
            one.end()
        began = time.monotonic()
        got = other.push("presence.changed", within=30 + SLACK_S + 4, user=user)
        assert got["p"]["status"] == "offline"
        assert set(got["p"]) <= {"user", "status", "text", "last_seen_at"}
        assert time.monotonic() - began > 25 or invisible  # who chooses it is not seen from then on

    return run


def goes_offline(dev: Dev) -> Callable[[], None]:
    return offline(dev, invisible=False)


def goes_invisible(dev: Dev) -> Callable[[], None]:
    return offline(dev, invisible=True)


def mute_peer(dev: Dev) -> Callable[[], None]:
    """One that never answers a ping."""
    one = dev.connect(dev.user())
    one._take_ = one._take  # type: ignore[attr-defined]

    def take(opcode: int, fin: bool, data: bytes) -> None:
        if opcode == 9:
            one.pings += 1
        else:
            one._take_(opcode, fin, data)  # type: ignore[attr-defined]

    one._take = take  # type: ignore[method-assign]

    def run() -> None:
        began = time.monotonic()
        end = one.until_closed(60)
        assert end.code in (4408, 1006)
        assert 25 < time.monotonic() - began < 50
        assert one.pings >= 2

    return run


def pings(dev: Dev) -> Callable[[], None]:
    one = dev.connect(dev.user())

    def run() -> None:
        began = time.monotonic()
        while not one.pings:
            assert one._some(began + 15 + SLACK_S), "no ping"
        began = time.monotonic()
        while one.pings < 2:
            assert one._some(began + 15 + SLACK_S), "no second ping"
        assert time.monotonic() - began > 10

    return run


PARTS = (no_hello, heads, empty_heads, typing_ends, goes_offline, goes_invisible, mute_peer, pings)
