"""Messages on their way: shown from the moment they are written, until they have a place, or for good where they failed. Pure."""

from dataclasses import replace
from typing import Any

from caas_sdk.core.message import Message, from_wire
from caas_sdk.core.outbox import Call


class Letters:
    """What one has written and the server has not told back."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[Call, int]] = {}

    def add(self, call: Call, written_at: int) -> None:
        """A message was written, at a time in ms."""
        self._by_id[call.p["id"]] = (call, written_at)

    def get(self, id_: str) -> Call | None:
        """The call that sends it."""
        return self._by_id[id_][0] if id_ in self._by_id else None

    def take(self, id_: str) -> Call | None:
        """It has its place, or is not wanted any more."""
        return self._by_id.pop(id_, (None, 0))[0]

    def renamed(self, old: str, new: str) -> None:
        """It has another id; its place among the others stays."""
        self._by_id = {new if id_ == old else id_: letter for id_, letter in self._by_id.items()}

    def of(self, conversation: str, me: str) -> list[Message]:
        """Those of a conversation, in the order in which they were written."""
        return [show(call, at, me) for call, at in self._by_id.values() if call.p["c"] == conversation]

    def conversations(self) -> set[str]:
        """Where something is on its way."""
        return {call.p["c"] for call, _ in self._by_id.values()}


def show(call: Call, written_at: int, me: str) -> Message:
    """A message that has no place yet."""
    message = from_wire(call.p["c"], {"sender": me, "sent_at": written_at, **_content(call.p)}, me)
    return replace(message, status="failed" if call.error is not None else "sending", error=call.error)


def placed(call: Call, result: dict[str, Any], me: str) -> Message:
    """The message as the reply says that it stands."""
    p = {"sender": me, **_content(call.p)}
    p |= {name: result[name] for name in ("seq", "n", "sent_at") if name in result}
    return from_wire(call.p["c"], p, me)


def _content(p: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in p.items() if name not in ("c", "after")}
