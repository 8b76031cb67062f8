"""The golden frames: whatever the server may say, a client takes it in; whatever this client says, the server knows."""

import json
from pathlib import Path
from typing import Any

import pytest
from behaviour_runner import Runner
from caas_sdk import codec
from caas_sdk.core.commands import ACTS

VECTORS = Path(__file__).parents[3] / "protocol" / "vectors"
PUSHES = sorted((VECTORS / "frames").glob("push.*.json"))
COMMANDS = {path.stem: json.loads(path.read_text()) for path in (VECTORS / "frames").glob("*.json") if not path.name.startswith("push.")}


@pytest.mark.parametrize("path", PUSHES, ids=lambda path: path.stem)
@pytest.mark.parametrize("spelling", ["msgpack", "msgpack_wide"])
def test_every_push_is_taken_in(path: Path, spelling: str) -> None:
    push = json.loads(path.read_text())["push"]
    frame: dict[str, Any] = push["frame"]
    assert codec.decode(bytes.fromhex(push[spelling])) == [frame]
    runner, c = Runner({"user": "alice"}), frame.get("c", "")
    runner.up({}, {})
    if c not in ("", "me"):
        runner.do({"m": "conversation.watch", "p": {"c": c}}, {})
        runner._drain()
        head = frame.get("s", 2) - 1
        watched = {"conversation": {"id": c, "type": "group", "head": head}, "role": "member", "capabilities": [], "head": head, "epoch": 1}
        runner.reply({"m": "conversation.watch"}, {"r": watched})
    elif c == "me":
        runner.core.state.mine.seq = frame["s"] - 1
    runner.push(frame, {})
    runner._drain()
    assert runner.core.connection.state == "connected"
    if frame["t"] != "skip":
        assert frame["t"] in [name for name, _ in runner.events]
    if "s" in frame:
        stream = runner.core.state.mine if c == "me" else runner.core.state.rooms[c].stream
        assert stream.seq == frame["s"]


def test_every_act_is_a_command_that_takes_an_op() -> None:
    without = {name for name in ACTS if "op" not in COMMANDS[name]["command"]["frame"]["p"]}
    assert without == set()


def test_errors_are_read() -> None:
    for one in json.loads((VECTORS / "errors.json").read_text())["errors"]:
        assert codec.decode(bytes.fromhex(one["msgpack"])) == [one["frame"]]
