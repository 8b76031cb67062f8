"""Where one goes from what was made: OpenAPI's links, so that tools can follow a conversation from its creation on."""

from collections.abc import Sequence
from typing import Any

from transport.openapi.routes import Route

_FROM = {
    "conversation.create": {"c": "$response.body#/conversation/id"},
    "message.send": {"c": "$request.path.c", "id": "$response.body#/id"},
}
"""Which parameters the answer to a command gives a value to."""


def links(route: Route, routes: Sequence[Route]) -> dict[str, Any]:
    """To every route whose path needs just these parameters, but perhaps for one that people choose."""
    given = _FROM.get(route.name)
    if given is None:
        return {}
    there = [other for other in routes if given.keys() <= {*other.in_path} and {*other.in_path} - given.keys() <= {"emoji"}]
    return {f"{route.name}.{other.name}": {"operationId": other.name, "parameters": given} for other in there}
