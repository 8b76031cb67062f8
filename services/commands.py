"""The one command table: what a client may say, over WebSocket and REST alike.

A service method marked `@command` is both. Over WebSocket it is called by its name with `p`; over REST by its route, `p` made of
path, body and query. A handler that changes a conversation returns `Asked`; one that reads, or changes documents, returns `r`.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, get_type_hints

import msgspec

from services.acts import Asked
from services.rates.model import class_of
from services.scope import Scope

Handler = Callable[..., Any]
Result = Asked | dict[str, Any]
F = TypeVar("F", bound=Handler)

_MARK = "__caas_command__"


class Command(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    params: type[msgspec.Struct]
    call: Callable[[Scope, Any], Result | Awaitable[Result]]
    method: str = ""
    path: str = ""
    """The route below the base, as `/conversations/{c}/messages`; empty when there is none."""
    makes: bool = False
    """Whether success makes something new (201), unless it turns out to be a repeat."""
    answers: type[msgspec.Struct] | None = None
    """The shape of `r` (protocol/replies.py)."""
    needs: tuple[str, ...] = ()
    """The capabilities of which one is needed; none where membership, or nothing, is enough."""
    keyed: str = "op"
    """The field that `Idempotency-Key` fills: `op`, or `id` for a message; empty for none."""
    anyone: bool = True
    """Whether users may; otherwise only the application, by its secret key."""
    rate: str = "admin"
    """The class of its rate (services/rates/model.py)."""
    ordered: bool = False
    """Whether it is a plain function that only makes an act, so that many may be under way in order."""
    summary: str = ""


def command(name: str, route: str = "", *, answers: type[msgspec.Struct] | None = None, makes: bool = False, needs: tuple[str, ...] = (),
            keyed: str = "op", anyone: bool = True, rate: str = "") -> Callable[[F], F]:
    """Mark a service method as a command: its wire name, its route as `POST /conversations/{c}/messages`, and what it answers.

    Without `rate` its class follows from its name and method (`class_of`).
    """

    def mark(method: F) -> F:
        row = {"name": name, "route": route, "answers": answers, "makes": makes, "needs": needs, "keyed": keyed, "anyone": anyone,
               "rate": rate}
        setattr(method, _MARK, [*getattr(method, _MARK, ()), row])
        return method

    return mark


def gather(services: Iterable[object]) -> dict[str, Command]:
    """The table of these services' marked methods, by name. Raises ValueError when two have one name."""
    table: dict[str, Command] = {}
    for service in services:
        for attribute in dir(type(service)):
            for row in getattr(getattr(type(service), attribute), _MARK, ()):
                made = _row(getattr(service, attribute), **row)
                if table.setdefault(made.name, made) is not made:
                    raise ValueError(f"two commands are called {made.name}")
    return table


def _row(method: Handler, *, name: str, route: str, keyed: str, rate: str, **told: Any) -> Command:
    hints = get_type_hints(method)
    params = next(kind for key, kind in hints.items() if key not in ("scope", "return"))
    verb, _, path = route.partition(" ")
    ordered = hints.get("return") is Asked and not _is_async(method)
    summary = (method.__doc__ or "").strip().partition("\n")[0]
    keyed = keyed if keyed in params.__struct_fields__ else ""
    return Command(name=name, params=params, call=method, method=verb, path=path, keyed=keyed, rate=rate or class_of(name, verb), ordered=ordered,
                   summary=summary, **told)


def _is_async(method: Handler) -> bool:
    return bool(getattr(method, "__code__", None) and method.__code__.co_flags & 0x80)


def conversation_of(params: Any) -> str:
    """The conversation that a command's parameters speak of; empty for none. What keeps commands of one in order."""
    return getattr(params, "c", "") or getattr(params, "conversation", "") or ""
