"""Acts on users that had an id: the first answer to each, so that a repeat has it too.

A user's document carries the act that changed it last, written in the same step. Before the next change that act's answer goes into
a document of its own (`settle`); so at every moment each act is in one of the two, and whoever reads the user first and the acts
afterwards misses none.
"""

from typing import Any

from protocol.errors import Refused
from protocol.ids import act_time
from services.scope import Scope
from services.users.model import KEPT_MS, User
from storage.ports.documents import Documents, version
from storage.ports.entry import Place

_ACTS = "user_acts"
_SLACK_MS = 24 * 3_600_000
"""Clocks of servers differ: none refuses as too old what another has not forgotten."""
_PRUNED_AT_ONCE = 10
_FORGOTTEN = Place(1, 0, 0)


class UserActs:
    """First answers, by user and act."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def first(self, scope: Scope, internal: str, user: User, act: str, digest: str) -> dict[str, Any] | None:
        """What this act was answered with, if it was carried out. `user` was read before. Raises Refused `id_conflict`."""
        if user.act == act:
            return _same(user.digest == digest, {"user": user.shown()})
        held = await self._documents.get(scope, _ACTS, _key(internal, act))
        return None if held is None else _same(held.doc["digest"] == digest, held.doc["r"])

    async def settle(self, scope: Scope, internal: str, user: User | None) -> None:
        """Keep the answer to the act that changed this user last."""
        if user is not None and user.act:
            await self.keep(scope, internal, user.act, user.digest, {"user": user.shown()})

    async def keep(self, scope: Scope, internal: str, act: str, digest: str, r: dict[str, Any]) -> None:
        """Keep the answer to an act; the first one kept stays. Some that nobody may repeat any more are forgotten on the way."""
        made = act_time(bytes.fromhex(act))
        await self._documents.put(scope, _ACTS, _key(internal, act), {"user": internal, "at": made, "digest": digest, "r": r}, version(1))
        for held in await self._documents.find(scope, _ACTS, "of_user", (internal,), limit=_PRUNED_AT_ONCE):
            if held.doc["at"] < made - KEPT_MS - _SLACK_MS:
                await self._documents.delete(scope, _ACTS, held.key, _FORGOTTEN)


def _key(internal: str, act: str) -> str:
    return f"{internal}/{act}"


def _same(same: bool, r: dict[str, Any]) -> dict[str, Any]:
    if not same:
        raise Refused("id_conflict", "This id was used for another change of this user: make a new one.", field="op")
    return {**r, "duplicate": True}
