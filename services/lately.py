"""Documents as a conversation's state has them: as stored, and with what the room has accepted since."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from protocol.errors import Refused
from services.amending import Document, Step, amended
from services.kinds import Kinds
from services.scope import Scope
from storage.ports.documents import Documents
from storage.ports.entry import Place, decode_entry

_TRIES = 5

Look = Callable[[Place], Awaitable[dict[str, Any]]]
"""Ask the room again, once it has come to a place: a view with `late`."""


class Lately:
    """Reads documents that entries of a conversation amend."""

    def __init__(self, documents: Documents, kinds: Kinds) -> None:
        self._documents, self._kinds = documents, kinds

    async def read(self, scope: Scope, conversation: str, view: Mapping[str, Any], collection: str, keys: Sequence[str],
                   look: Look | None = None) -> dict[str, Document]:
        """Those of the documents that there are. What was stored after the view was taken is shown only by a later view: `look` gives
        one. So a room waits for what another node, which reads faster, has stored. Raises Refused when storage stays ahead of the room."""
        for _ in range(_TRIES):
            held = await self._documents.get_many(scope, collection, keys) if keys else {}
            if look is None or all(one.place <= Place(*view["head"]["place"]) for one in held.values()):
                known = {(scope.tenant, collection, key): (one.doc, one.place) for key, one in held.items()}
                changes, _cleared = amended(self._steps(scope, conversation, view["late"], collection, keys), known)
                return {key: one.doc for key, one in held.items()} | {one.key: one.doc for one in changes if one.doc is not None}
            view = await look(max(one.place for one in held.values()))
        raise Refused("unavailable", "Storage is ahead for a moment: ask again.")

    def _steps(self, scope: Scope, conversation: str, late: Iterable[Any], collection: str, keys: Sequence[str]) -> list[Step]:
        wanted = set(keys)
        steps = []
        for seq, n, place, data in late:
            entry = decode_entry(data)
            amends = [one for one in self._kinds[entry.kind].amends(entry, seq, n) if one.collection == collection and one.key in wanted]
            if amends:
                steps.append(Step(scope.tenant, conversation, Place(*place), amends))
        return steps
