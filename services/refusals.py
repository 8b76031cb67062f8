"""Which codes a command may be refused with: what the docs and `/openapi.json` say, and what tests hold the server to."""

import msgspec

from protocol.errors import CODES
from services.commands import Command

ALWAYS = ("bad_request", "too_many", "internal", "unavailable", "timeout")
"""Whatever the command."""
UNKNOWN_CALLER = ("not_authenticated", "token_expired", "token_invalid")

_ONCE = frozenset({"send", "react", "edit_own", "edit_any"})
"""Capabilities that a frozen conversation takes away."""
_SIZED = frozenset({"text", "custom", "attachments", "mentions", "users", "members", "device"})
_SPECIAL = {
    "conversation.create": ("feature_disabled", "not_found"),
    "conversation.join": ("too_large",),
    "conversation.leave": ("forbidden",),
    "hello": (*UNKNOWN_CALLER, "too_large"),
    "message.delivered": ("forbidden",),
    "message.read": ("forbidden",),
    "message.send": ("blocked",),
    "presence.set": ("forbidden",),
    "reaction.add": ("too_large",),
    "token.refresh": UNKNOWN_CALLER,
    "token_key.create": ("storage_full",),
    "token_key.delete": ("not_found", "storage_full"),
    "typing.start": ("blocked",),
    "typing.stop": ("forbidden",),
    "user.put": ("forbidden",),
    "user.update": ("forbidden",),
}
"""What neither parameters nor capabilities tell."""


def refusals(name: str, params: type[msgspec.Struct], needs: tuple[str, ...] = (), *, anyone: bool = True) -> tuple[str, ...]:
    """The codes, in the order of the table of codes."""
    fields = {field.encode_name for field in msgspec.structs.fields(params)}
    found = {*ALWAYS, *_SPECIAL.get(name, ())}
    if fields & {"c", "user", "users"}:
        found.add("not_found")
    if "c" in fields:
        found.add("not_a_member")
    if needs or not anyone:
        found.add("forbidden")
    if _ONCE & set(needs):
        found.add("frozen")
    if "op" in fields or name == "message.send":
        found |= {"id_conflict", "id_in_future", "id_expired", "storage_full"}
    if fields & _SIZED:
        found.add("too_large")
    return tuple(code for code in CODES if code in found)


def of(command: Command) -> tuple[str, ...]:
    """The codes of a command of the table."""
    return refusals(command.name, command.params, command.needs, anyone=command.anyone)
