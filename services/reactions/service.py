"""The verbs of reactions."""

from functools import partial
from typing import Any

from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from protocol.world import Clock, Ids
from services.acts import Act, Asked, Rooms, View
from services.commands import command
from services.conversations.acting import seq_of
from services.conversations.rules import checked_op
from services.digests import said
from services.messages.changing import checked_message
from services.messages.current import Current, Target
from services.reactions.model import MOST, React
from services.scope import Scope
from services.tenants import Tenants


class Reactions:
    """What people make of messages."""

    def __init__(self, rooms: Rooms, current: Current, tenants: Tenants, clock: Clock, ids: Ids) -> None:
        self._rooms, self._current, self._tenants, self._clock, self._ids = rooms, current, tenants, clock, ids

    @command("reaction.add", "PUT /conversations/{c}/messages/{id}/reactions/{emoji}", answers=replies.Done, makes=True, needs=("react",))
    async def add(self, scope: Scope, p: React) -> Asked:
        """React to a message with an emoji."""
        return await self._current.surely(partial(self._asked, scope, p, "reaction.added", True))

    @command("reaction.remove", "DELETE /conversations/{c}/messages/{id}/reactions/{emoji}", answers=replies.Done, needs=("react",))
    async def remove(self, scope: Scope, p: React) -> Asked:
        """Take it back."""
        return await self._current.surely(partial(self._asked, scope, p, "reaction.removed", False))

    async def _asked(self, scope: Scope, p: React, kind: str, added: bool, sure: bool) -> Asked:
        message = checked_message(p.c, p.id)
        if scope.is_application:
            raise Refused("forbidden", "The application itself cannot react: say who does, with `CAAS-User`.")
        target = await self._current.target(scope, p.c, message, sure=sure)
        refusal = target.refusal or ("not_found" if target.deleted else "")
        users = [] if refusal else await self._reactors(scope, p, message)
        if added and not refusal:
            _check_room(target, p.emoji)
        moot = not refusal and (scope.user in users) == added
        body = {"id": p.id, "emoji": p.emoji, "user": scope.external, "count": len(users) + (1 if added else -1)}
        op = self._ids.uuid7() if p.op is UNSET else checked_op(p.op, "op", self._clock.now_ms())
        digest = self._tenants.known(scope.tenant).digest(kind, scope.user, said(p))
        facts: dict[str, Any] = {"message": message, "emoji": p.emoji}
        return Asked(Act(p.c, kind, op, digest, facts, body, scope.user, scope.external, None, refusal, moot), seq_of)

    async def _reactors(self, scope: Scope, p: React, message: bytes) -> list[str]:
        view = await self._rooms.view(scope, p.c, View("find"))
        return await self._current.reactors(scope, p.c, message, view, p.emoji)


def _check_room(target: Target, emoji: str) -> None:
    emojis = target.overlay.get("emojis", ())
    if emoji not in emojis and len(emojis) >= MOST:
        raise Refused("too_large", f"A message has at most {MOST} different reactions.", field="emoji", limit=("reactions", MOST, len(emojis) + 1))
