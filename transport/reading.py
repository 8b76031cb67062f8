"""From an HTTP request to the `p` of a command: path beats body beats query."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from quart import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from protocol.codec import decode_body, refuse_shape
from protocol.errors import Refused
from protocol.ids import parse_act, show_act
from protocol.world import Ids
from services.commands import Command

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,16}")

Convert = Callable[[list[str]], Any]
T = TypeVar("T")


class Reader:
    """Makes the `p` of one command. The types of its fields are looked at once, when the routes are made."""

    def __init__(self, command: Command, ids: Ids) -> None:
        self._keyed, self._ids = command.keyed if command.method != "GET" else "", ids
        self._fields = {field.encode_name: _converter(field.type) for field in msgspec.structs.fields(command.params)}

    def read(self, path: Mapping[str, str], body: Mapping[str, Any], query: "MultiDict[str, str]", key: str | None) -> dict[str, Any]:
        """`key` is the Idempotency-Key, bare or quoted. Raises Refused for a query that cannot be, or a key that could not keep its promise."""
        p = {**self._of_query(query), **body, **path}
        key = None if key is None else _unquoted(key)
        if self._keyed == "op" and key is not None and "op" not in p:
            if parse_act(key) is None:
                raise Refused("bad_request", "`Idempotency-Key` must be a lower-case UUIDv7: it becomes the act's `op`.", field="op")
            p["op"] = key
        elif self._keyed == "id" and "id" not in p:
            p["id"] = key if key is not None and parse_act(key) is not None else show_act(self._ids.uuid7())
        return p

    def _of_query(self, query: "MultiDict[str, str]") -> dict[str, Any]:
        """A query knows only text, so each value becomes what its field is; what is no field is ignored."""
        p: dict[str, Any] = {}
        for name in query.keys() & self._fields.keys():
            try:
                p[name] = self._fields[name](query.getlist(name))
            except msgspec.ValidationError as error:
                raise Refused("bad_request", f"`{name}` in the query: {refuse_shape(error).message}", field=name) from error
        return p


def _unquoted(key: str) -> str:
    """The key as text; draft-ietf-httpapi-idempotency-key-header has it in quotes."""
    return key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key


def _converter(kind: Any) -> Convert:
    info = msgspec.inspect.type_info(kind)
    if _holds(msgspec.inspect.IntType, info):
        return lambda values: msgspec.convert(int(values[0]) if _INTEGER.fullmatch(values[0]) else values[0], kind)  # 1.0 is none
    if _holds(msgspec.inspect.ListType, info):
        return lambda values: msgspec.convert([item for value in values for item in value.split(",") if item], kind, strict=False)
    return lambda values: msgspec.convert(values[0], kind, strict=False)


def _holds(kind: type[msgspec.inspect.Type], info: msgspec.inspect.Type) -> bool:
    if isinstance(info, msgspec.inspect.UnionType):
        return any(_holds(kind, one) for one in info.types)
    return isinstance(info, kind)


async def read_body() -> dict[str, Any]:
    """The JSON object that came, whatever its content type says; empty when there was none. Raises Refused."""
    if request.method == "GET":
        return {}
    data = await request.get_data(cache=False)
    assert isinstance(data, bytes)
    return decode_body(data) if data else {}


async def read_rest() -> bool:
    """Take what is left of the body, which whoever answered early did not read; False when it does not come, or is too long.

    A connection on which a body is still to come cannot take the next request.
    """
    if request.content_length is None and "Transfer-Encoding" not in request.headers:
        return True
    try:
        await request.get_data(cache=False)
    except HTTPException:
        return False
    return True


async def read_as(kind: type[T]) -> T:
    """The body, of a known shape. Raises Refused."""
    try:
        return msgspec.convert(await read_body(), kind, strict=True)
    except msgspec.ValidationError as error:
        raise refuse_shape(error) from error
