"""The generated parts of the docs. A page is written by hand but for what stands between `<!-- generated: name -->` and `<!-- end -->`."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from protocol import payloads, shapes
from protocol.closing import CLOSINGS
from protocol.errors import CODES, RETRY_AFTER_MS
from protocol.events import EVENTS, Entry, Personal, Push
from protocol.examples import PUSHES
from protocol.limits import LIMITS
from scripts import bad_frames
from scripts.kinds import fields, line, structs
from scripts.program import Program, Said
from services.refusals import ALWAYS
from services.rights import CAPABILITIES, ROLES, named

_REGION = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NOUNS = (shapes.Message, shapes.Attachment, shapes.Reaction, shapes.Edit, shapes.Conversation, shapes.User, shapes.Member, shapes.Presence,
          shapes.Range, shapes.Watched, shapes.Resumed)
_LIMITS = {
    "text": "bytes of UTF-8 in a message's text", "custom": "bytes of `custom`, as compact JSON", "attachments": "attachments of a message",
    "mentions": "users mentioned in a message", "frame": "bytes of a frame, or of a REST body", "batch": "commands in one frame",
    "resume": "conversations named in `hello.resume`", "members": "users in one call", "group": "members of a conversation",
    "presence": "users whose presence one connection watches",
}


def files(program: Program, root: Path) -> dict[str, str]:
    """The pages, with their generated parts made anew."""
    parts: dict[str, Callable[[], str]] = {
        "commands": lambda: _commands(program.commands), "details": lambda: "\n".join(map(_detail, program.commands)),
        "pushes": _pushes,
        "nouns": lambda: _nouns(program.commands), "rest": lambda: _rest(program.openapi), "errors": _errors, "closings": _closings,
        "limits": _limits, "roles": _roles, "bad": _bad,
    }
    pages = [path for path in sorted((root / "docs").glob("*.md")) if "<!-- generated:" in path.read_text()]
    return {str(path.relative_to(root)): _REGION.sub(lambda found: found[1] + parts[found[2]]() + found[3], path.read_text()) for path in pages}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _told(shape: type[msgspec.Struct]) -> str:
    return f"`{line(shape)}`" if fields(shape) else "`{}`"


def _commands(commands: Sequence[Said]) -> str:
    rows = ((f"[`{said.name}`](#{_anchor(said.name)})", said.summary, _code(said.route)) for said in commands)
    return _table(("command", "what it does", "over REST"), rows)


def _anchor(name: str) -> str:
    return name.replace(".", "").replace("_", "")


def _detail(said: Said) -> str:
    answers = f"`r` ({said.answers.__name__}): {_told(said.answers)}"
    rights = [f"Needs {' or '.join(map(_code, said.needs))}."] if said.needs else []
    rights += [] if said.anyone else ["For the application alone: a secret key without `CAAS-User`."]
    refuses = [code for code in said.refuses if code not in ALWAYS]
    refused = [f"Refused with {', '.join(map(_code, refuses))}, and what any command may be refused with."] if refuses else []
    facts = [f"- `p`: {_told(said.params)}", f"- {answers}", *(f"- {text}" for text in refused)]
    example = [_json({"i": 7, "m": said.name, "p": said.example.p}), _json({"i": 7, "r": said.example.r})]
    return "\n".join((f"#### {said.name}", "", " ".join((said.summary, *rights)), "", *facts, "", "```json", *example, "```", ""))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pushes() -> str:
    durable = set(get_args(Entry))
    groups: tuple[tuple[str, list[type[Push]]], ...] = (
        ("Durable, in the conversation", [kind for kind in durable_in_order() if not issubclass(kind, Personal)]),
        ("Durable, in `me`", [kind for kind in durable_in_order() if issubclass(kind, Personal)]),
        ("Ephemeral", [kind for kind in EVENTS.values() if kind not in durable]))
    return "\n".join(f"#### {title}\n\n{_table(('push', '`p`', 'when'), map(_push, kinds))}" for title, kinds in groups) + "\n" + _push_examples()


def durable_in_order() -> list[type[Push]]:
    """Durable pushes, as they are listed."""
    return list(get_args(Entry))


def _push(kind: type[Push]) -> tuple[str, str, str]:
    told = {field.name: field.type for field in msgspec.structs.fields(kind)}.get("p")
    where = "" if "c" in kind.__struct_fields__ else " (no `c`)"
    return _code(str(kind.__struct_config__.tag)) + where, "" if told is None else _told(told), (kind.__doc__ or "").strip()


def _push_examples() -> str:
    shown = ("message.new", "message.updated", "skip", "read.moved", "typing.started", "heads")
    return "```json\n" + "".join(f"{_json(PUSHES[name])}\n" for name in shown) + "```\n"


def _nouns(commands: Sequence[Said]) -> str:
    """The main ones, then whatever else a command or push has inside."""
    found: dict[str, type[msgspec.Struct]] = {noun.__name__: noun for noun in _NOUNS}
    for shape in (*(shape for said in commands for shape in (said.params, said.answers)), *EVENTS.values()):
        for noun in structs(shape):
            if noun.__module__ != payloads.__name__:
                found.setdefault(noun.__name__, noun)
    return "".join(f"- **{noun.__name__}** {_told(noun)}  \n  {' '.join((noun.__doc__ or '').split())}\n" for noun in found.values())


def _rest(openapi: dict[str, Any]) -> str:
    rows = [(f"`{method.upper()} {path}`", operation["summary"], _by(operation["security"]), ", ".join(sorted(operation["responses"])))
            for path, methods in openapi["paths"].items() for method, operation in methods.items()]
    return _table(("method and path", "what it does", "who", "answers"), rows)


def _by(security: list[dict[str, Any]]) -> str:
    return "a user or a secret key" if len(security) == 2 else "a secret key" if security else "anyone"


def _errors() -> str:
    rows = ((_code(code), str(row.status), f"yes, after {RETRY_AFTER_MS.get(code, 0) / 1000:g} s" if row.retryable else "no", row.title)
            for code, row in CODES.items())
    return _table(("code", "status", "again?", "meaning"), rows)


def _closings() -> str:
    return _table(("code", "reason", "connect again?"), ((str(one.code), _code(one.reason), "yes" if one.reconnect else "no") for one in CLOSINGS))


def _limits() -> str:
    return _table(("limit", "default", "of what"), ((_code(name), f"{most:,}", _LIMITS[name]) for name, most in LIMITS.items()))


def _roles() -> str:
    rows = ((_code(one), *("yes" if one in named(granted) else "" for granted in ROLES.values())) for one in CAPABILITIES)
    return _table(("capability", *ROLES), rows)


def _bad() -> str:
    return _table(("case", "answer"), ((name, _code(answer)) for name, _, answer in (*bad_frames.CASES, *bad_frames.TWIN)))
