"""What commands are to an outbox: which change something durable, under which id, and what fits into a frame. Pure."""

from collections.abc import Mapping

from caas_sdk import codec
from caas_sdk.core.outbox import Call, Kind
from caas_sdk.errors import CaasError

ACTS = frozenset({
    "conversation.create", "conversation.update", "conversation.freeze", "conversation.join", "conversation.leave", "conversation.delete",
    "member.add", "member.remove", "member.update", "message.edit", "message.delete", "reaction.add", "reaction.remove",
    "message.pin", "message.unpin", "user.update", "user.block", "user.unblock",
})
"""Commands that change something durable, besides `message.send`, whose id is its `op`."""
_FLEETING = frozenset({"typing.start", "typing.stop"})


def kind_of(command: str) -> Kind:
    """How a command of the application is repeated."""
    if command in ACTS or command == "message.send":
        return "act"
    return "fleeting" if command in _FLEETING else "read"


def id_field(call: Call) -> str:
    """Where the id of the act stands; empty where none is wanted."""
    if call.is_message:
        return "id"
    return "op" if call.command in ACTS else ""


def measure(call: Call, limits: Mapping[str, int]) -> None:
    """Note how large it is. Raises CaasError for what no frame can carry."""
    after = {"after": call.p["id"]} if call.is_message else {}
    try:
        call.size = len(codec.encode({"i": 2**32 - 1, "m": call.command, "p": {**call.p, **after}}))
    except (TypeError, ValueError, OverflowError) as error:
        raise CaasError("bad_request", f"`{call.command}` cannot be encoded: {error}") from error
    if call.size > limits["frame"]:
        raise CaasError("too_large", f"`{call.command}` takes {call.size} bytes, and a frame {limits['frame']} at most",
                        limit={"name": "frame", "max": limits["frame"], "got": call.size})
