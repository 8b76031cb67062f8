"""The golden frames: whoever reads them, by our codec or by another library, in any width, reads the same; and nothing is left out."""

import json
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from protocol.codec import BadFrame, Command, decode_commands, write
from protocol.events import EVENTS
from protocol.replies import ErrorBody
from scripts.bad_frames import payload
from scripts.program import Program, ask
from tests.fitting import misfit, misfit_push

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
FRAMES = {path.stem: json.loads(path.read_text()) for path in sorted((VECTORS / "frames").glob("*.json"))}
COMMANDS = {name: vector for name, vector in FRAMES.items() if vector["kind"] == "command"}
PUSHES = {vector["name"]: vector for vector in FRAMES.values() if vector["kind"] == "push"}
ERRORS = json.loads((VECTORS / "errors.json").read_text())["errors"]
BAD = json.loads((VECTORS / "bad_frames.json").read_text())


@pytest.fixture(scope="module")
def program() -> Program:
    return ask()


def readings(held: dict[str, Any]) -> list[Any]:
    """A frame as our codec and another library read its bytes, narrow and wide."""
    narrow, wide = bytes.fromhex(held["msgpack"]), bytes.fromhex(held["msgpack_wide"])
    assert narrow != wide
    return [read(raw) for raw in (narrow, wide) for read in (msgspec.msgpack.decode, msgpack.unpackb)]


def test_every_command_and_push_has_one(program: Program) -> None:
    assert set(COMMANDS) == {said.name for said in program.commands}
    assert set(PUSHES) == set(EVENTS)


HELD = [vector[part] for vector in FRAMES.values() for part in ("command", "reply", "push") if part in vector]


@pytest.mark.parametrize("held", HELD + ERRORS, ids=lambda held: str(held["frame"])[:60])
def test_everybody_reads_the_same(held: dict[str, Any]) -> None:
    assert all(read == held["frame"] for read in readings(held))
    assert json.loads(write(held["frame"])) == held["frame"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_server_takes_the_command_and_may_answer_so(program: Program, name: str) -> None:
    [said] = [said for said in program.commands if said.name == name]
    vector = COMMANDS[name]
    frame = vector["command"]["frame"]
    for raw, text in ((bytes.fromhex(vector["command"]["msgpack"]), False), (bytes.fromhex(vector["command"]["msgpack_wide"]), False),
                      (write(frame), True)):
        assert decode_commands(raw, text=text) == [Command(7, name, frame["p"])]
    assert [misfit(frame["p"], said.params), misfit(vector["reply"]["frame"]["r"], said.answers)] == ["", ""]


@pytest.mark.parametrize("name", PUSHES)
def test_the_push_is_as_described(name: str) -> None:
    assert misfit_push(PUSHES[name]["push"]["frame"]) == ""
    assert PUSHES[name]["push"]["frame"]["t"] == name


def test_the_errors_are_as_described() -> None:
    assert [misfit(error["frame"]["e"], ErrorBody) for error in ERRORS] == [""] * len(ERRORS)


@pytest.mark.parametrize("vector", [vector for subprotocol in ("caas.v1", "caas.v1.json") for vector in BAD[subprotocol]],
                         ids=lambda vector: vector["name"])
def test_a_bad_frame_is_told_from_one_that_only_says_something_wrong(vector: dict[str, Any]) -> None:
    made = payload(vector)
    twin = vector in BAD["caas.v1.json"]
    if vector["answer"] == "close 1009" or isinstance(made, str) != twin or "one `i`" in vector["name"]:
        return  # decided before the codec, or by the connection
    raw = made.encode() if isinstance(made, str) else made
    if vector["answer"].startswith("close"):
        with pytest.raises(BadFrame):
            decode_commands(raw, text=twin)
    else:
        [command] = decode_commands(raw, text=twin)
        assert command.i == 7
        assert command.refusal is None or command.refusal.code == vector["answer"]
