"""Carrying out a command of the table, for whoever asks: parameters made, handler called, act decided, reply made."""

from collections.abc import Awaitable, Mapping
from typing import Any, cast

import msgspec

from actors.load import Load
from protocol.codec import refuse_shape
from protocol.errors import Refused
from services.acts import Asked, Rooms
from services.commands import Command
from services.scope import Scope
from services.tenants import Tenants


def make_params(command: Command, p: dict[str, Any]) -> msgspec.Struct:
    """The command's parameters. Raises Refused with the field that is wrong."""
    try:
        return msgspec.convert(p, command.params, strict=True)
    except msgspec.ValidationError as error:
        raise refuse_shape(error) from error


def lasting(command: Command) -> bool:
    """Whether it appends: what is too much of that is refused, while reading goes on."""
    return command.rate in ("send", "admin")


def call(command: Command, scope: Scope, params: msgspec.Struct) -> Asked | Awaitable[Any]:
    """Call the handler: what it asks of a conversation's log, or an awaitable of the reply. Raises Refused."""
    if scope.user and not command.anyone:
        raise Refused("forbidden", "Only the application itself may do this: use its secret key, without `CAAS-User`.")
    return cast(Asked | Awaitable[Any], command.call(scope, params))


class Dispatch:
    """The table, for callers that can wait: REST, and whatever acts by itself."""

    def __init__(self, table: Mapping[str, Command], rooms: Rooms, tenants: Tenants, load: Load) -> None:
        self.table, self._rooms, self._tenants, self._load = table, rooms, tenants, load

    async def call(self, scope: Scope, command: Command, p: dict[str, Any]) -> dict[str, Any]:
        """Carry it out; the reply `r`. Raises Refused."""
        with self._load.taking(scope.tenant, lasting=lasting(command)):
            await self._tenants.ready(scope.tenant)
            result = call(command, scope, make_params(command, p))
            if not isinstance(result, Asked):
                result = await result
            return await finish(self._rooms, scope, result)


async def finish(rooms: Rooms, scope: Scope, result: Asked | dict[str, Any]) -> dict[str, Any]:
    """The reply, once the log has decided (where there is something to decide)."""
    if not isinstance(result, Asked):
        return result
    answer = result.answer(await rooms.submit(scope, result.act))
    return cast(dict[str, Any], answer if isinstance(answer, dict) else await answer)
