"""`caas bench`: it measures a set-up that runs and leaves no room behind; what cannot be is one line and code 2."""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bench.build import NoCompiler
from bench.generate import histogram
from bench.server import KEY, Server
from bench.servers.ours import Rest
from bench.sketch import sketch
from caas.__main__ import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def caas(programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr("bench.face.built", lambda name: programs / name)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["caas", "bench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def _await(true: Callable[[], bool]) -> None:
    """Until something that another process does is so; five seconds at most."""
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.real
def test_it_measures_a_set_up_and_takes_its_rooms_away(caas: Run, tmp_path: Path) -> None:
    with Server(tmp_path / "data", workers=1, log=tmp_path / "log", limits="on") as server:
        picture = tmp_path / "latency.png"
        code, out, err = caas("--url", server.base, "--rooms", "2", "--members", "3", "--rate", "50", "--seconds", "0.5", "--plot", str(picture))
        assert code == 0, out + err
        assert "6 connections" in out
        assert "75 deliveries of 75" in out
        assert "each delivery came once, in order, without a gap" in out
        assert "p99.9" in out
        assert picture.read_bytes().startswith(b"\x89PNG")
        code, out, err = caas("--url", server.base, "--rate", "20", "--seconds", "0.5", "--rooms", "2", "--members", "60")
        assert code == 0, out + err
        assert "120 connections" in out
        with closing(Rest(server.base, KEY)) as rest:
            made = [user["id"] for user in rest.get("/users?limit=100")["items"] if user["id"].startswith("bench-")]
            assert len(made) >= 6
            _await(lambda: not any(rest.get("/conversations", user)["items"] for user in made))  # the list may lag by what is not stored
        code, _, err = caas("--url", server.base, "--key", "caas_sk_nobody", "--seconds", "1")
        assert code == 1
        assert "refused: 401" in err


@pytest.mark.parametrize(("words", "why"), [
    (("--url", "https://chat.example.com"), "speaks no TLS"), (("--url", "nonsense"), "no http://host:port"),
    (("--members", "1"), "members 2 or more"),
    (("--rate", "0"), "the rate is above 0"), (("--seconds", "3600"), "at most 600"), (("--rooms", "1000", "--members", "100"), "15,000"),
    (("--size", "10"), "34 to 16,384 bytes"), (("--rooms", "many"), "rooms"),
])
def test_what_cannot_be_is_one_line_and_code_2(caas: Run, words: tuple[str, ...], why: str) -> None:
    code, out, err = caas(*words)
    assert code == 2
    assert why in err
    assert err.count("\n") == 1
    assert out == ""


def test_without_a_compiler_it_says_what_to_install(caas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise NoCompiler("there is no C compiler: install one")

    monkeypatch.setattr("bench.face.built", missing)
    code, _, err = caas()
    assert code == 2
    assert "install one" in err


def test_nobody_there_is_said(caas: Run) -> None:
    code, _, err = caas("--url", "http://127.0.0.1:1")
    assert code == 1
    assert "refused" in err


def test_a_sketch_rises_to_the_right_and_shows_no_more_nines_than_there_are_measurements_for() -> None:
    lines = list(sketch({"delivery": histogram((ms * 1000, 1) for ms in range(1, 101)), "answer": histogram([(500, 1)])}, width=41, height=9))
    drawn = [line[11:] for line in lines[:9]]
    assert drawn[0].rindex("o") == 20  # the slowest of a hundred: p99, half-way to p99.99
    assert drawn[-1] == "+"
    assert [line.rindex("o") for line in drawn if "o" in line] == sorted((line.rindex("o") for line in drawn if "o" in line), reverse=True)
    assert lines[-1].split() == ["o", "delivery", "+", "answer"]
    assert list(sketch({"delivery": histogram()})) == []
