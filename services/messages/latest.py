"""The last message of each of many conversations as it reads now: for lists. From storage alone, a few reads however many they are."""

from collections.abc import Mapping
from typing import Any

from services import hiding, overlays
from services.amending import Document
from services.history import History, Opened
from services.messages.current import Current, shown_now
from services.messages.fold import tombstone
from services.scope import Scope
from services.tenants import Tenants
from services.users.service import Users
from storage.ports.documents import Documents

_STORED: Mapping[str, Any] = {"late": ()}
"""What a room would say that knows no more than storage."""


class Latest:
    """Reads last messages."""

    def __init__(self, documents: Documents, history: History, current: Current, users: Users, tenants: Tenants) -> None:
        self._documents, self._history, self._current, self._users, self._tenants = documents, history, current, users, tenants

    async def of(self, scope: Scope, last: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """By conversation the message at this seq; left out while it is not stored, and where this reader has deleted it for themselves.

        An id of a message is looked for in its own conversation only, so that two conversations may hold the same one.
        """
        found = await self._history.each(scope, last.items())
        hidden = await self._hidden(scope, last)
        opened = {name: one for (name, _), one in found.items() if name not in hidden}
        over = await self._overlays(scope, opened)
        people = await self._users.of_internal(scope, [entry.actor for entry, _, _ in opened.values()])
        shown, left = dict[str, dict[str, Any]](), dict[str, Opened]()
        for name, (entry, row, body) in opened.items():
            if body is None or "removed_at" in over[name]:
                sender = people.get(entry.actor, {}).get("id", "")
                shown[name] = tombstone(entry, row.seq, row.n, sender, over[name].get("removed_at", entry.at))
            else:
                left[name] = (entry, row, body)
        return shown | await self._now(scope, left, over)

    async def _hidden(self, scope: Scope, last: Mapping[str, int]) -> set[str]:
        personal = self._tenants.known(scope.tenant).personal(scope.user)
        keys = {hiding.hidden_key(personal, name, seq): name for name, seq in last.items()}
        held = await self._documents.get_many(scope, hiding.COLLECTION, list(keys))
        return {keys[key] for key, one in held.items() if last[keys[key]] in one.doc["seqs"]}

    async def _overlays(self, scope: Scope, opened: Mapping[str, Opened]) -> dict[str, Document]:
        keys = {name: overlays.overlay_key(name, entry.op) for name, (entry, _, _) in opened.items()}
        held = await self._documents.get_many(scope, overlays.COLLECTION, list(keys.values()))
        return {name: held[key].doc if key in held else {} for name, key in keys.items()}

    async def _now(self, scope: Scope, left: Mapping[str, Opened], over: Mapping[str, Document]) -> dict[str, dict[str, Any]]:
        wanted = {(name, seq) for name in left for seq in over[name].get("fields", {}).values()}
        edits: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in left}
        for (name, seq), (_, _, body) in (await self._history.each(scope, wanted)).items():
            if body is not None:
                edits[name][seq] = body
        shown = {}
        for name, (entry, row, body) in left.items():
            shown[name] = shown_now(entry, row, body or {}, over[name], edits[name])
        reacted = {name: one for name, one in left.items() if over[name].get("emojis")}
        return shown | {name: shown[name] | found for name, found in (await self._reacted(scope, reacted, over)).items()}

    async def _reacted(self, scope: Scope, left: Mapping[str, Opened], over: Mapping[str, Document]) -> dict[str, dict[str, Any]]:
        found = await self._current.reactions(scope, "", _STORED, [(entry, over[name]) for name, (entry, _, _) in left.items()])
        return {name: found[name, entry.op] for name, (entry, _, _) in left.items() if (name, entry.op) in found}
