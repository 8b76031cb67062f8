"""The verbs of typing: start and stop. The conversation's room does the rest (actors/ephemeral/typing.py)."""

from typing import Any

from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from services.acts import Rooms
from services.commands import command
from services.conversations.rules import check_conversation
from services.messages.rules import check_reference
from services.scope import Scope
from services.typing.model import Typing


class Typings:
    """Telling others that one types."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @command("typing.start", "POST /conversations/{c}/typing", answers=replies.Nothing, needs=("send",))
    async def start(self, scope: Scope, p: Typing) -> dict[str, Any]:
        """Say that one types; again every 3 s, for it is forgotten after 6."""
        return await self._said(scope, p, "typing.start")

    @command("typing.stop", "DELETE /conversations/{c}/typing", answers=replies.Nothing)
    async def stop(self, scope: Scope, p: Typing) -> dict[str, Any]:
        """Say that one types no more: this kind, this thread; or, where none is named, whatever it was."""
        return await self._said(scope, p, "typing.stop")

    async def _said(self, scope: Scope, p: Typing, what: str) -> dict[str, Any]:
        check_conversation(p.c)
        check_reference(p.thread, "thread")
        if scope.is_application:
            raise Refused("forbidden", "The application itself does not type: say who does, with `CAAS-User`.")
        said = {name: value for name in ("kind", "thread") if (value := getattr(p, name)) is not UNSET}
        await self._rooms.signal(scope, p.c, what, said)
        return {}
