"""REST: the command table once more, for those who would rather send requests.

A request's way: who is it (`_Caller`), what do they say (`Reader`), carry it out (`Dispatch`), answer. Sessions are not commands of
the socket and have four plain routes of their own. What only the development set-up has is in `transport/development.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import trio
from quart import Quart, Response, g, request
from quart_trio import QuartTrio

from protocol.errors import Refused
from protocol.ids import show_act
from protocol.limits import FRAME
from protocol.world import Ids
from services.api_keys.text import PREFIX
from services.commands import Command
from services.scope import Scope
from services.sessions import CreateSession, RefreshSession, Sessions
from transport.answering import answer, problem_of
from transport.development import add_development
from transport.health import add_health
from transport.openapi.pages import add_pages
from transport.openapi.routes import Routes, of_command
from transport.openapi.sessions import CREATE, CREATE_ELSEWHERE, END, END_ALL, END_EVERYBODY, REFRESH
from transport.rating import Gate
from transport.reading import Reader, read_as, read_body, read_rest

ANSWER_WITHIN_S: Final = 30.0
"""Commands have a shorter deadline of their own (10 s for a verdict); this is for what they wait for besides."""

_BODY_WITHIN_S = 10
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

Noted = Callable[[str, str, int, float], None]
"""Take note of a request: method, route, status, seconds."""
Enter = Callable[[str], Awaitable[Scope]]
"""Let a request in: the class of its rate, then who sent it. Raises Refused."""


class Dispatch(Protocol):
    """What carries commands out."""

    @property
    def table(self) -> Mapping[str, Command]:
        """All commands, by name."""
        ...

    async def call(self, scope: Scope, command: Command, p: dict[str, Any]) -> dict[str, Any]:
        """Carry one out; the reply `r`. Raises Refused."""
        ...


class _App(QuartTrio):
    async def dispatch_request(self, request_context: Any = None) -> Any:
        with trio.fail_after(ANSWER_WITHIN_S):
            return await super().dispatch_request(request_context)


def make_app(dispatch: Dispatch, sessions: Sessions, *, ids: Ids, ready: Callable[[], bool], metrics: Callable[[], bytes],
             noted: Noted | None = None, dev: bool = False, gate: Gate | None = None) -> QuartTrio:
    """The application that Hypercorn serves. `dev`: with the page and the keys of the development set-up, for this machine alone.
    Without a gate nobody is held back."""
    app = _App("caas", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=FRAME, BODY_TIMEOUT=_BODY_WITHIN_S, RESPONSE_TIMEOUT=None, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    _frame_requests(app, ids, noted, gate)
    enter = partial(_enter, sessions, gate)
    routes = Routes(app)
    for command in dispatch.table.values():
        if command.method:
            _add_command(routes, dispatch, enter, command, ids)
    _add_sessions(routes, sessions, enter)
    add_health(routes, ready, metrics)
    if dev:
        add_development(routes, sessions)
    add_pages(routes)
    return app


def _frame_requests(app: Quart, ids: Ids, noted: Noted | None, gate: Gate | None) -> None:
    """What every request and response has."""

    @app.before_request
    async def begin() -> None:
        g.request_id, g.began = show_act(ids.uuid7()), trio.current_time()

    @app.after_request
    async def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = _request_id()
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if not await read_rest():
            response.headers["Connection"] = "close"
        if gate is not None:
            gate.tell_left(response)
        if noted is not None:
            route = request.url_rule.rule if request.url_rule else "none"
            noted(request.method, route, response.status_code, trio.current_time() - g.began)
        return response

    @app.errorhandler(Exception)
    async def refuse(error: Exception) -> Response:
        return problem_of(error, _request_id())


def _request_id() -> str:
    return str(g.get("request_id", ""))


def _add_command(routes: Routes, dispatch: Dispatch, enter: Enter, command: Command, ids: Ids) -> None:
    reader = Reader(command, ids)

    async def view(**path: str) -> Response:
        scope = await enter(command.rate)
        if scope.user and not command.anyone:
            raise Refused("forbidden", "Only the application itself may do this: use its secret key, without `CAAS-User`.")
        p = reader.read(path, await read_body(), request.args, request.headers.get("Idempotency-Key"))
        r = await dispatch.call(scope, command, p)
        return answer(r, 201 if command.makes and _new(r) else 200)

    routes.add(of_command(command), view)


def _new(r: Mapping[str, Any]) -> bool:
    """Whether it made something: it was no repeat, changed something, and did not only change what was there."""
    return not (r.get("duplicate") or r.get("unchanged")) and r.get("created", True) is True


def _add_sessions(routes: Routes, sessions: Sessions, enter: Enter) -> None:
    async def create_session() -> Response:
        scope = await enter("admin")
        return answer(await sessions.create(scope, await read_as(CreateSession)), 201)

    async def refresh_session() -> Response:
        body = await read_as(RefreshSession)
        return answer(await sessions.refresh(body.refresh_token, request.headers.get("Idempotency-Key")), 201)

    async def end_session(session: str) -> Response:
        await sessions.revoke(await enter("admin"), session)
        return answer({}, 200)

    async def end_sessions(user: str) -> Response:
        await sessions.revoke_user(await enter("admin"), user)
        return answer({}, 200)

    async def end_everybody() -> Response:
        await sessions.revoke_everybody(await enter("admin"))
        return answer({}, 200)

    routes.add(CREATE, create_session)
    routes.add(CREATE_ELSEWHERE, create_session)
    routes.add(REFRESH, refresh_session)
    routes.add(END, end_session)
    routes.add(END_ALL, end_sessions)
    routes.add(END_EVERYBODY, end_everybody)


async def _enter(sessions: Sessions, gate: Gate | None, rate: str) -> Scope:
    """Who sent this request, once it was counted in its class. Raises Refused."""
    scope = await caller(sessions)
    if gate is not None:
        await gate.let_in(scope, rate)
    return scope


async def caller(sessions: Sessions) -> Scope:
    """Who sent this request. Raises Refused."""
    kind, _, credential = request.headers.get("Authorization", "").partition(" ")
    credential = credential.strip()
    if kind.lower() != "bearer" or not credential:
        raise Refused("not_authenticated", "Send `Authorization: Bearer` and a user token or a secret key.")
    if not credential.startswith(PREFIX):
        return (await sessions.authenticate_token(credential)).scope
    return await sessions.authenticate_key(credential, request.headers.get("CAAS-User"), request.remote_addr or "")
