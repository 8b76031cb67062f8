"""The corpus `protocol/vectors/frames_heard.json`, and each case of it as steps that a client can be put through."""

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[2] / "protocol" / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "frames_heard.json").read_text())["cases"]


def spelled(spelling: str) -> list[dict[str, Any]]:
    """The cases that can be said so: `json` or `msgpack`."""
    return [case for case in CASES if spelling in case]


def steps(case: dict[str, Any]) -> list[dict[str, Any]]:
    """As in `behaviours/`: somebody is connected and watches `r`, and this comes."""
    watched = {"conversation": {"id": "r", "type": "group", "head": 5}, "role": "member", "capabilities": [], "head": 5, "epoch": 1, "read": {},
               "delivered": {}}
    return [{"up": {}}, {"do": {"m": "conversation.watch", "p": {"c": "r"}}, "as": "watching"},
            {"reply": {"m": "conversation.watch", "p": {"c": "r"}}, "r": watched}, {"raw": case},
            {"expect": {"state": case["client"]["state"], "rooms": {"r": {"seq": case["client"]["seq"]}}}}]
