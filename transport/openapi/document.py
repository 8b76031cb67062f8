"""`/openapi.json`: the routes as OpenAPI 3.1 describes them."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from protocol.errors import CODES, RETRY_AFTER_MS, Refused
from protocol.examples import REQUEST_ID
from protocol.replies import Problem
from transport.answering import problem_members
from transport.openapi.links import links
from transport.openapi.routes import Route
from transport.openapi.schemas import Schema, param_schemas, reply_schemas

ABOUT = """Chat as a service. Everything here can also be said over the WebSocket at `/ws`: the same commands, the same shapes.

A *user's token* speaks for that user; a *secret key* speaks for the application, or, with the header `CAAS-User`, for a user.
A request that failed with `retryable` may be repeated with the same `Idempotency-Key`: it takes effect once. Clients ignore fields
that they do not know. Times are milliseconds since 1970 UTC."""

TAGS = {
    "sessions": "How a user's client gets in: made by the application's backend, refreshed by the client.",
    "user": "Users, by the company's ids.",
    "token_key": "Keys that the application signs user tokens with by itself.",
    "conversation": "Conversations: direct, group, channel.",
    "member": "Who belongs to a conversation.",
    "message": "Messages in a conversation.",
    "reaction": "Reactions to messages.",
    "typing": "Who is typing.",
    "presence": "Who is there.",
    "limits": "How often something may be said.",
    "server": "How the server is.",
    "development": "What only the development set-up has.",
}
"""What comes before the first dot of a route's name, in the order of the page."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PROBLEM = "application/problem+json"
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "anyone": [], "caller": [{"user_token": []}, {"secret_key": []}], "application": [{"secret_key": []}],
}


def describe(routes: Sequence[Route], version: str, *, strict: bool = False) -> dict[str, Any]:
    """The whole document. `strict`: replies may have no field but those described (tests use that)."""
    shapes: list[type[msgspec.Struct]] = [Problem, *(shape for route in routes for shape in _shapes(route))]
    components = reply_schemas(shapes, strict=strict)
    params, given = param_schemas((route.params for route in routes), components)
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda route: (route.path, _METHODS.index(route.method))):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, params[route.params], links(route, routes))
    return {
        "openapi": "3.1.0",
        "info": {"title": "CAAS", "version": version, "description": ABOUT},
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": tag, "description": told} for tag, told in TAGS.items() if tag in {_tag(route) for route in routes}],
        "paths": paths,
        "components": {"schemas": {**components, **given}, "parameters": _PARAMETERS, "headers": _HEADERS, "securitySchemes": _SCHEMES,
                       "examples": {code: {"value": problem_members(Refused(code), REQUEST_ID)} for code in sorted(_codes(routes))}},
    }


def body_schema(route: Route, schema: Schema) -> Schema:
    """What stands in the body: the parameters that do not stand in the path. What `Idempotency-Key` may fill need not be there."""
    elsewhere = {*route.in_path}
    fields = {name: field for name, field in schema["properties"].items() if name not in elsewhere}
    required = [name for name in schema.get("required", ()) if name in fields and name != route.keyed]
    return {"type": "object", "properties": fields, **({"required": required} if required else {})}


def _shapes(route: Route) -> list[type[msgspec.Struct]]:
    return [*([route.answers] if route.answers else ()), *(shape for _, shape, _ in route.besides)]


def _codes(routes: Sequence[Route]) -> set[str]:
    return {code for route in routes for code in route.codes}


def _tag(route: Route) -> str:
    return route.name.partition(".")[0]


def _operation(route: Route, schema: Schema, onward: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name, "summary": route.summary, "tags": [_tag(route)], "security": _SECURITY[route.who],
        "parameters": [*_parameters(route, schema), *_header_parameters(route)], "responses": _responses(route),
    }
    if onward:
        for status in route.statuses:
            operation["responses"][str(status)]["links"] = onward
    if route.has_body:
        operation["requestBody"] = _body(route, schema)
    return operation


def _parameters(route: Route, schema: Schema) -> Iterable[dict[str, Any]]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        in_path = name in route.in_path
        if not in_path and route.has_body:
            continue
        parameter = {"name": name, "in": "path" if in_path else "query", "required": in_path or (name in required and name != route.keyed),
                     "schema": field}
        if field.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        if field.get("description"):
            parameter["description"] = field["description"]
        if route.example and name in route.example.p:
            parameter["example"] = route.example.p[name]
        yield parameter


def _header_parameters(route: Route) -> Iterable[dict[str, Any]]:
    if route.keyed:
        yield {"$ref": "#/components/parameters/IdempotencyKey"}
    if route.who == "caller":
        yield {"$ref": "#/components/parameters/User"}


def _body(route: Route, schema: Schema) -> dict[str, Any]:
    found = body_schema(route, schema)
    content: dict[str, Any] = {"schema": found}
    if route.example:
        content["example"] = {name: value for name, value in route.example.p.items() if name in found["properties"]}
    return {"required": "required" in found, "content": {"application/json": content}}


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    headers = _header_refs("RequestId", *(_RATES if route.who != "anyone" else ()))
    for status in route.statuses:
        said = "Something was made." if status == 201 else "It is done." if 201 not in route.statuses else "It was there already."
        content = {media: _content(route, media) for media in route.media}
        responses[str(status)] = {"description": said, "headers": headers, "content": content}
    for status, shape, example in route.besides:
        other = {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}, "example": example}}
        responses[str(status)] = {"description": (shape.__doc__ or "").strip(), "headers": _header_refs("RequestId"), "content": other}
    for status in sorted({CODES[code].status for code in route.codes}):
        responses.setdefault(str(status), _problem(status, [code for code in route.codes if CODES[code].status == status]))
    return responses


def _content(route: Route, media: str) -> dict[str, Any]:
    if route.answers is None:
        return {"schema": {"type": "object" if media == "application/json" else "string"}}
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{route.answers.__name__}"}}
    return {**content, "example": route.example.r} if route.example else content


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    """Codes of one status, each with an example."""
    only = {"type": "object", "properties": {"code": {"enum": codes}, "status": {"const": status}}}
    headers = ["RequestId", *(["RetryAfter"] if any(code in RETRY_AFTER_MS for code in codes) else ()),
               *(["Authenticate"] if status == 401 else ()), *(_RATES if status == 429 else ())]
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, only]}
    return {"description": "; ".join(f"`{code}`: {CODES[code].title}" for code in codes), "headers": _header_refs(*headers),
            "content": {_PROBLEM: {"schema": schema, "examples": examples}}}


def _header_refs(*names: str) -> dict[str, Any]:
    return {_WIRE[name]: {"$ref": f"#/components/headers/{name}"} for name in names}


_WIRE = {"RequestId": "X-Request-Id", "RetryAfter": "Retry-After", "Authenticate": "WWW-Authenticate", "RateLimit": "RateLimit",
         "RateLimitPolicy": "RateLimit-Policy"}
_RATES = ("RateLimit", "RateLimitPolicy")
_HEADERS: dict[str, Any] = {
    "RequestId": {"description": "What to name when asking for help.", "schema": {"type": "string"}, "example": REQUEST_ID},
    "RetryAfter": {"description": "Seconds to wait before the same may be sent again.", "schema": {"type": "string", "pattern": "^[0-9]+$"},
                   "example": "1"},
    "RateLimit": {"description": "What remains of the class of this request, and in how many seconds it is full again. Absent when rates are lifted.",
                  "schema": {"type": "string"}, "example": '"send";r=12;t=2'},
    "RateLimitPolicy": {"description": "How many requests of this class at once, and within how many seconds.", "schema": {"type": "string"},
                        "example": '"send";q=30;w=3'},
    "Authenticate": {"description": "How to say who one is.", "schema": {"type": "string"}, "example": "Bearer"},
}
_PARAMETERS: dict[str, Any] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"},
        "description": "A lower-case UUIDv7 of this act: sent again with the same one, it takes effect once. `op` in the body comes before it.",
        "example": REQUEST_ID},
    "User": {
        "name": "CAAS-User", "in": "header", "required": False, "schema": {"type": "string"},
        "description": "With a secret key: the user for whom it acts. Without it the key acts as the application.", "example": "alice"},
}
_SCHEMES: dict[str, Any] = {
    "user_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                   "description": "A user's token, of `POST /api/v1/sessions/create`."},
    "secret_key": {"type": "http", "scheme": "bearer", "bearerFormat": "caas_sk_...",
                   "description": "The application's secret key: for its backend alone."},
}
