"""The transport's innermost loops, in Python and, where the accelerator is installed, in C: one set of tests for all forms."""

import contextlib
import importlib.util
import random
import socket
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import caas
from caas.acceleration import PACKAGE, look

NAME = "transport.websocket.native"
SOURCE = Path(caas.__file__).parents[1] / "transport" / "websocket" / "native.py"


def _loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(NAME, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _forms() -> dict[str, ModuleType]:
    forms = {"python": _loaded(SOURCE)}
    if look("auto")[0].on:
        spec = importlib.util.find_spec(PACKAGE)
        assert spec is not None
        assert spec.origin is not None
        forms["c"] = _loaded(Path(spec.origin).parent / "compiled" / (NAME.replace(".", "/") + EXTENSION_SUFFIXES[0]))
    return forms


FORMS = _forms()
SENDING = ["python", *(f"c {way}" for way in ("loop", "ring", "either") if "c" in FORMS)]
KEY = b"\x11\x22\x33\x44"


def masked(first: int, payload: bytes, key: bytes = KEY) -> bytes:
    return bytes((first, 0x80 | len(payload))) + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


@pytest.fixture(params=FORMS)
def take_frames(request: pytest.FixtureRequest) -> Callable[..., int]:
    return FORMS[request.param].take_frames


@pytest.fixture(params=SENDING)
def form(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    name, _, way = request.param.partition(" ")
    if name == "c" and not FORMS["c"].send_by(way):
        pytest.skip("the kernel gives no io_uring here")
    yield FORMS[name]
    if name == "c":
        FORMS["c"].send_by("either")


@pytest.fixture
def offer_all(form: ModuleType) -> Callable[..., list[tuple[int, int]]]:
    return form.offer_all


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 9, 63, 125])
def test_a_short_frame_is_taken(take_frames, size):
    payload = bytes(range(size))
    events: list[Any] = []
    wire = masked(0x82, payload)
    assert take_frames(b"before" + wire + b"\x82", 6, 65_536, events) == 6 + len(wire)
    assert events == [(2, payload)]


def test_text_is_taken_where_it_is_text(take_frames):
    events: list[Any] = []
    good, bad = masked(0x81, "grüße €".encode()) + masked(0x81, b"plain"), masked(0x81, b"\xc3\x28")
    assert take_frames(good + bad + good, 0, 65_536, events) == len(good)
    assert events == [(1, "grüße €".encode()), (1, b"plain")]


@pytest.mark.parametrize("other", [
    masked(0x02, b"a fragment"), masked(0xC2, b"compressed"), masked(0x80, b"the rest"), masked(0x89, b"ping"), masked(0x88, b""),
    b"\x82\x05hello and more", b"\x82\xfe\x00\x7e" + KEY + bytes(126), masked(0x82, b"not all here")[:-1], b"\x82\x80\x00\x00\x00", b"\x82", b"",
])
def test_whatever_is_unusual_is_left(take_frames, other):
    events: list[Any] = []
    begun = masked(0x82, b"one")
    assert take_frames(begun + other, 0, 65_536, events) == len(begun)
    assert events == [(2, b"one")]


def test_what_is_longer_than_allowed_is_left(take_frames):
    events: list[Any] = []
    assert take_frames(masked(0x82, b"12345"), 0, 4, events) == 0
    assert take_frames(masked(0x82, b"1234"), 0, 4, events) == 10
    assert events == [(2, b"1234")]


KEYS = st.binary(min_size=4, max_size=4)
FRAMES = st.one_of(st.builds(masked, st.sampled_from((0x81, 0x82, 0x82, 0x01, 0x89)), st.binary(max_size=125), KEYS), st.binary(max_size=12))


@pytest.mark.skipif("c" not in FORMS, reason="the accelerator is not installed, or not of these sources")
@given(st.lists(FRAMES, max_size=8).map(b"".join), st.integers(0, 20), st.integers(0, 200))
def test_both_forms_read_the_same(data, at, longest):
    told: dict[str, Any] = {}
    for name, form in FORMS.items():
        events: list[Any] = []
        told[name] = (form.take_frames(data, at, longest, events), events)
    assert told["c"] == told["python"]


class Place:
    """A socket as `offer_all` sees it, and its peer."""

    def __init__(self, *, idle: bool = True, full: bool = False, ended: bool = False) -> None:
        self.sock, self.peer = socket.socketpair()
        for end in (self.sock, self.peer):
            end.setblocking(False)
        self.fd, self.offer, self.idle, self.place = self.sock.fileno(), self.sock.send, idle, -1
        if full:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2_048)
            with contextlib.suppress(BlockingIOError):
                while self.sock.send(b"x" * 1_000):
                    pass
        if ended:
            self.peer.close()

    def got(self) -> bytes:
        return self.peer.recv(1_000_000)

    def close(self) -> None:
        self.sock.close()
        self.peer.close()


@pytest.fixture
def places(form: ModuleType) -> Iterator[Callable[..., list[Place]]]:
    made: list[Place] = []

    def make(count: int, **others: dict[str, bool]) -> list[Place]:
        new = [Place(**others.get(f"p{number}", {})) for number in range(count)]
        made.extend(new)
        return new

    yield make
    for place in made:
        form.forget(place)
        place.close()


def test_each_idle_socket_from_start_to_stop_gets_the_bytes(offer_all, places):
    some = places(300)
    assert offer_all(some, 10, 290, set(), b"news") == []
    for number, place in enumerate(some):
        if 10 <= number < 290:
            assert place.got() == b"news"
        else:
            with pytest.raises(BlockingIOError):
                place.got()


def test_what_could_not_be_taken_whole_is_told_by_place(offer_all, places):
    some = places(12, p1={"idle": False}, p2={"full": True}, p4={"ended": True}, p11={"idle": False})
    assert sorted(offer_all(some, 0, 12, {some[3], some[11]}, b"news")) == [(1, -1), (2, 0), (4, -2)]
    for number in (0, 5, 6, 7, 8, 9, 10):
        assert some[number].got() == b"news"
    for number in (1, 3, 11):
        with pytest.raises(BlockingIOError):
            some[number].got()


def test_a_stream_socket_may_take_a_part(offer_all, places):
    [place] = some = places(1)
    wire = random.Random(1).randbytes(4_000_000)
    [(where, taken)] = offer_all(some, 0, 1, set(), wire)
    assert where == 0
    assert 0 < taken < len(wire)
    got = b""
    while len(got) < taken:
        got += place.got()
    assert got == wire[:taken]


def test_nobody_is_nobody(offer_all):
    assert offer_all([], 0, 0, set(), b"news") == []


def test_a_socket_that_is_forgotten_and_closed_is_closed_for_its_peer(form, places):
    gone, stays = places(2)
    assert form.offer_all([gone, stays], 0, 2, set(), b"news") == []
    form.forget(gone)
    gone.sock.close()
    assert (gone.got(), gone.got(), gone.place) == (b"news", b"", -1)
    assert form.offer_all([gone, stays], 1, 2, set(), b"more") == []
    assert stays.got() == b"newsmore"


def test_who_comes_after_one_that_is_gone_gets_its_own(form, places):
    for nth in range(50):
        here, other = places(2)
        assert form.offer_all([here, other], nth % 2, 2, set(), b"%d" % nth) == []
        assert other.got() == b"%d" % nth
        assert form.offer_all([other], 0, 1, {other}, b"not this") == []
        form.forget(here)
        here.sock.close()


@pytest.mark.skipif("c ring" not in SENDING, reason="the accelerator is not installed, or not of these sources")
def test_the_ring_holds_those_it_sends_to_until_they_are_forgotten():
    native = FORMS["c"]
    if not native.send_by("ring"):
        pytest.skip("the kernel gives no io_uring here")
    some, costs = [Place() for _ in range(300)], native.costs()
    native.offer_all(some, 0, 300, set(), b"news")
    held = native.costs()["files"]
    for place in some:
        native.forget(place)
        place.close()
    native.send_by("either")
    assert native.costs()["files"] == costs["files"]
    assert held == costs["files"] + (300 if costs["places"] else 0)  # kernels before 5.19 have no such tables
