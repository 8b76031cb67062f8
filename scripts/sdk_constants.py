"""The constants of the SDKs, each in the words of its language: `sdk/python/caas_sdk/wire.py`. Others read `protocol/vectors/constants.json`."""

from pprint import pformat
from typing import Any

from scripts.program import Program
from scripts.vectors import constants


def files(program: Program) -> dict[str, str]:
    """The text of every file, by its path."""
    return {"sdk/python/caas_sdk/wire.py": _python(constants(program.commands))}


def _python(said: dict[str, Any]) -> str:
    closings = {one["code"]: reason for reason, one in said["closings"].items()}
    names = "".join(f"{reason.upper()} = {code}\n" for code, reason in closings.items())
    durable = [name for name, push in said["pushes"].items() if push["durable"]]
    passing = [name for name, push in said["pushes"].items() if not push["durable"]]
    return "\n".join((
        '"""The constants of the wire, written by the server\'s `make generated`: change them there."""', "",
        _said("LIMITS", "dict[str, int]", said["limits"], "The defaults, by the names they have in `hello.limits`."),
        names + _said("REASONS", "dict[int, str]", closings, "Close codes of the server, and what they say."),
        _said("RETRYABLE", "dict[str, bool]", {code: row["retryable"] for code, row in said["errors"].items()},
              "Every code that the server refuses with, and whether sending the same again, with the same id, may succeed."),
        _said("COMMANDS", "tuple[str, ...]", tuple(said["commands"]), "All commands."),
        _said("DURABLE", "tuple[str, ...]", tuple(durable), "Pushes that are entries of a conversation and have a place `s` there."),
        _said("EPHEMERAL", "tuple[str, ...]", tuple(passing), "Pushes that are told once.").rstrip() + "\n"))


def _said(name: str, kind: str, value: Any, meaning: str) -> str:
    text = pformat(value, width=140, compact=True, sort_dicts=False)
    inner = text[1:-1].replace("\n ", "\n    ").rstrip(",")
    opening, closing = text[0], text[-1]
    quoted = inner.replace("'", '"')
    return f'{name}: {kind} = {opening}\n    {quoted},\n{closing}\n"""{meaning}"""\n'
