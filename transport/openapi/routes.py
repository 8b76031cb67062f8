"""Every route once: what it takes, what it answers, who may call. The server is made of these, and so is `/openapi.json`."""

from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
from quart import Quart, Response

from protocol.errors import CODES
from protocol.examples import COMMANDS, Example
from services import refusals
from services.commands import Command

BASE: Final = "/api/v1"

Who = Literal["anyone", "caller", "application"]
"""anyone: without a token; caller: a user's token or a secret key; application: a secret key alone."""
View = Callable[..., Awaitable[Response]]


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    name: str
    """The operation's id; for commands, their name on the wire."""
    method: str
    path: str
    """The whole path, as `/api/v1/conversations/{c}`."""
    summary: str
    answers: type[msgspec.Struct] | None = None
    """The shape of the JSON it answers; none: another kind of content."""
    params: type[msgspec.Struct] = Nothing
    """What may be said: fields that stand in the path, the others in the body, or in the query where there is no body."""
    media: tuple[str, ...] = ("application/json",)
    statuses: tuple[int, ...] = (200,)
    """What success may be. 201 and 200: something was made, or it was a repeat."""
    besides: tuple[tuple[int, type[msgspec.Struct], dict[str, str]], ...] = ()
    """Other answers that are no problem+json: status, shape and an example."""
    refuses: tuple[str, ...] = ()
    """Codes besides those that every route may answer."""
    who: Who = "caller"
    keyed: str = ""
    """The field that `Idempotency-Key` fills; empty for none."""
    example: Example | None = None

    @property
    def rule(self) -> str:
        """The path as Quart writes it."""
        return self.path.replace("{", "<").replace("}", ">")

    @property
    def in_path(self) -> tuple[str, ...]:
        """The parameters that stand in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def has_body(self) -> bool:
        """Whether its other parameters come in a body."""
        return self.method in ("POST", "PUT", "PATCH") and any(
            field.encode_name not in self.in_path for field in msgspec.structs.fields(self.params))

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes it may be refused with, in the order of their table."""
        if self.who == "anyone" and not self.refuses:
            return ("internal", "timeout")
        found = {*refusals.ALWAYS, *self.refuses}
        if self.who != "anyone":
            found |= {*refusals.UNKNOWN_CALLER, "not_found"}
        if self.who == "application":
            found.add("forbidden")
        if self.method != "GET":
            found |= {"bad_frame", "too_large", "storage_full"}
        return tuple(code for code in CODES if code in found)


def of_command(command: Command) -> Route:
    """The route of a command that has one."""
    return Route(
        name=command.name, method=command.method, path=BASE + command.path, summary=command.summary, answers=command.answers,
        params=command.params, statuses=(200, 201) if command.makes else (200,), refuses=refusals.of(command),
        who="caller" if command.anyone else "application", keyed=command.keyed, example=COMMANDS.get(command.name))


class Routes:
    """Serves routes, and knows all that it serves."""

    def __init__(self, app: Quart) -> None:
        self._app = app
        self.all: list[Route] = []

    def add(self, route: Route, view: View) -> None:
        """Serve it."""
        self._app.add_url_rule(route.rule, route.name, view, methods=[route.method])
        self.all.append(route)
