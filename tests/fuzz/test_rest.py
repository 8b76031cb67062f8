"""schemathesis against a real server: whatever it is sent, no 500, and nothing that `/openapi.json` does not say.

It is run as a program of its own, on the strict document: a reply with a field that is not described is a failure too.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.journeys.conftest import serving, token

HERE = Path(__file__).parent
SECRET = "caas_sk_dev"
ENDS_SESSIONS = "/sessions|/token_keys"


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """The same, but what the server says has no other fields than those described."""
    schemas, seen = document["components"]["schemas"], set[str]()
    pending = [operation["responses"] for operations in document["paths"].values() for operation in operations.values()]
    while pending:
        for name in set(named(pending.pop())) - seen:
            seen.add(name)
            pending.append(schemas[name])
            if schemas[name].get("type") == "object":
                schemas[name]["additionalProperties"] = False
    return document


def anew(document: dict[str, Any]) -> dict[str, Any]:
    """The same, where 404 can mean nothing but that what was made is not there: whoever makes something makes it anew (a repeat is
    answered as it was then, whatever has been deleted since), and names nobody and nothing else that might be missing."""
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        operation["parameters"] = [one for one in operation["parameters"] if not one.get("$ref", "").endswith("/IdempotencyKey")]
        for content in operation.get("requestBody", {}).get("content", {}).values():
            content.pop("example", None)
            fields = content["schema"].get("properties", {})
            for name in fields.keys() & {"id", "op", "members", "users", "mentions", "thread", "reply_to"}:
                del fields[name]
    return document


def named(value: Any) -> Iterator[str]:
    """The schemas that it refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref" and inner.startswith("#/components/schemas/"):
                yield inner.rpartition("/")[2]
            else:
                yield from named(inner)
    if isinstance(value, list):
        for inner in value:
            yield from named(inner)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("fuzz") / "data", "--limits", "off") as base:
        yield base


@pytest.mark.parametrize(("caller", "phases"), [("application", "examples,coverage,fuzzing"), ("for alice", "examples,fuzzing"),
                                                ("for alice", "stateful"), ("alice", "coverage,fuzzing")])
def test_whatever_is_sent_the_server_keeps_to_its_description(server: str, tmp_path: Path, caller: str, phases: str) -> None:
    with urlopen(f"{server}/openapi.json", timeout=10) as answer:
        document = strict(json.load(answer))
    (tmp_path / "openapi.json").write_text(json.dumps(anew(document) if phases == "stateful" else document))
    (tmp_path / "schemathesis.toml").write_text((HERE / "schemathesis.toml").read_text())
    bearer = SECRET if caller != "alice" else token(server, "alice")
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", server, "--no-color", "--seed", "1",
               "--phases", phases, "--max-examples", "8", "--max-time", "12", "-H", f"Authorization: Bearer {bearer}"]
    command += ["-H", "CAAS-User: alice"] if caller == "for alice" else []
    command += ["--exclude-path-regex", ENDS_SESSIONS] if caller == "alice" else []
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
