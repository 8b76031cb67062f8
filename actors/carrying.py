"""What rooms are told and answer, as plain lists that msgpack can carry between the workers of a node."""

from typing import Any

import msgspec

from actors.keys import Key
from actors.messages import Ask, Listen, Message, Signal, Submit, Unlisten
from services.acts import Act, Verdict, View
from services.scope import Scope

_ACT = ("conversation", "kind", "op", "digest", "facts", "body", "actor", "external", "after", "refusal", "moot")


def carry(key: Key, message: Message) -> list[Any]:
    """A message to a room elsewhere."""
    match message:
        case Submit(act):
            return ["submit", *key, [getattr(act, name) for name in _ACT]]
        case Ask(scope, view):
            return ["ask", *key, list(msgspec.structs.astuple(scope)), list(msgspec.structs.astuple(view))]
        case Listen(worker):
            return ["listen", *key, worker]
        case Unlisten(worker):
            return ["unlisten", *key, worker]
        case Signal(scope, what, p):
            return ["signal", *key, list(msgspec.structs.astuple(scope)), what, p]
        case _:
            raise TypeError(f"{type(message).__name__} stays on its worker")


def carried(parts: list[Any]) -> tuple[Key, Message]:
    """The message, on the other side."""
    what, tenant, conversation, *rest = parts
    key = Key(tenant, conversation)
    match what:
        case "submit":
            return key, Submit(Act(*rest[0]))
        case "ask":
            return key, Ask(Scope(*rest[0]), View(*rest[1]))
        case "listen":
            return key, Listen(rest[0])
        case "signal":
            return key, Signal(Scope(*rest[0]), rest[1], rest[2])
        case _:
            return key, Unlisten(rest[0])


def carry_answer(answer: Any) -> Any:
    """A room's answer: a verdict, a view or a seq."""
    return ["v", *msgspec.structs.astuple(answer)] if isinstance(answer, Verdict) else ["x", answer]


def carried_answer(parts: Any) -> Any:
    """The answer, on the other side."""
    return Verdict(*parts[1:]) if parts[0] == "v" else parts[1]
