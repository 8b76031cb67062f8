"""Messages as they are now: what was said, and what became of it since. From storage, and from the room what is not there yet."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from protocol.errors import Refused
from services import hiding, overlays
from services.acts import Asked, Rooms, View
from services.amending import Document
from services.conversations.acting import People
from services.history import History, Opened, Passage
from services.messages.fold import render_message
from services.reactions import fold as reactions
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.entry import Entry, Place
from storage.ports.log import StoredRow

KINDS = ("message.new", "message.reply")
SHOWN_USERS = 5
CHANGEABLE = ("text", "attachments", "mentions", "custom")


class Target(NamedTuple):
    """A message that somebody wants to do something to. `refusal`: why they cannot (a code); then nothing else is known."""

    refusal: str = ""
    entry: Entry | None = None
    row: StoredRow | None = None
    overlay: Document = {}  # noqa: RUF012 - never changed
    body: Mapping[str, Any] = {}
    """As it reads now."""

    @property
    def sender(self) -> str:
        """Internal id; empty when nothing is known."""
        return self.entry.actor if self.entry else ""

    @property
    def seq(self) -> int:
        """Its place; 0 when nothing is known."""
        return self.row.seq if self.row else 0

    @property
    def deleted(self) -> bool:
        """Whether it was deleted for everybody."""
        return "removed_at" in self.overlay


class Current:
    """Reads messages as they are."""

    def __init__(self, rooms: Rooms, history: History, people: People, tenants: Tenants) -> None:
        self._rooms, self._history, self._people, self._tenants = rooms, history, people, tenants
        self._lately = history.lately

    async def messages(self, scope: Scope, conversation: str, passage: Passage) -> list[dict[str, Any]]:
        """The messages of a passage, as this reader sees them; without those deleted for oneself."""
        opened = await self._history.opened(scope, passage.rows)
        hidden = await self.hidden(scope, conversation, [row.seq for _, row, _ in opened])
        opened = [one for one in opened if one[1].seq not in hidden]
        keys = [overlays.overlay_key(conversation, entry.op) for entry, _, _ in opened]
        look = partial(self._once_at, scope, conversation)
        known = await self._lately.read(scope, conversation, passage.view, overlays.COLLECTION, keys, look)
        over = {row.seq: known.get(key, {}) for (_, row, _), key in zip(opened, keys, strict=True)}
        gone = [(entry, row) for entry, row, body in opened if body is None or "removed_at" in over[row.seq]]
        shown = await self._history.stubs(scope, gone, passage.view)
        left = [one for one in opened if one[1].seq not in shown and one[2] is not None]
        edits = await self._edits(scope, conversation, passage.view, [over[row.seq] for _, row, _ in left])
        reacted = await self.reactions(scope, conversation, passage.view, [(entry, over[row.seq]) for entry, row, _ in left])
        for entry, row, body in left:
            shown[row.seq] = shown_now(entry, row, body or {}, over[row.seq], edits) | reacted.get((conversation, entry.op), {})
        return [shown[seq] for seq in sorted(shown)]

    async def surely(self, make: Callable[[bool], Awaitable[Asked]]) -> Asked:
        """An act made by what is known; one that is refused or would change nothing once more, with `True`: by what the log has by now."""
        asked = await make(False)
        return asked if self._history.alone or not (asked.act.refusal or asked.act.moot) else await make(True)

    async def target(self, scope: Scope, conversation: str, op: bytes, *, sure: bool) -> Target:
        """The message with this id, for somebody who wants to do something to it. Raises Refused only where trying again may help."""
        try:
            passage = await self._history.find(scope, conversation, op, sure=sure)
            if not passage.rows:
                return Target("not_found")
            return await self._targeted(scope, conversation, passage)
        except Refused as refused:
            if refused.retryable:
                raise
            return Target(refused.code)

    async def earlier(self, scope: Scope, conversation: str, passage: Passage) -> list[dict[str, Any]]:
        """The texts that a message had before the one it has, oldest first: `[{text?, at}]`."""
        [(entry, _, body)] = await self._history.opened(scope, passage.rows)
        key = overlays.overlay_key(conversation, entry.op)
        over = (await self._lately.read(scope, conversation, passage.view, overlays.COLLECTION, [key])).get(key, {})
        if body is None or "removed_at" in over:
            return []
        texts = [_text(body, entry.at)]
        for edit, _, changed in await self._opened(scope, conversation, passage.view, over.get("edits", ())):
            if changed is not None and "text" in changed:
                texts.append(_text(changed, edit.at))
        return texts[:-1]

    async def reactors(self, scope: Scope, conversation: str, op: bytes, view: Mapping[str, Any], emoji: str) -> list[str]:
        """Who has reacted so, by internal id."""
        key = reactions.reaction_key(conversation, op, emoji)
        found = await self._lately.read(scope, conversation, view, reactions.COLLECTION, [key])
        return list(found.get(key, {}).get("users", ()))

    async def _once_at(self, scope: Scope, conversation: str, place: Place) -> dict[str, Any]:
        return await self._rooms.view(scope, conversation, View("find", place=place))

    async def _targeted(self, scope: Scope, conversation: str, passage: Passage) -> Target:
        [(entry, row, body)] = await self._history.opened(scope, passage.rows)
        if entry.kind not in KINDS:
            return Target("not_found")
        key = overlays.overlay_key(conversation, entry.op)
        look = partial(self._once_at, scope, conversation)
        over = (await self._lately.read(scope, conversation, passage.view, overlays.COLLECTION, [key], look)).get(key, {})
        if body is None or "removed_at" in over:
            return Target("", entry, row, {"removed_at": entry.at} | over)
        edits = await self._edits(scope, conversation, passage.view, [over])
        return Target("", entry, row, over, _merged(body, over, edits))

    async def hidden(self, scope: Scope, conversation: str, seqs: Sequence[int]) -> set[int]:
        """Those of these messages that the scope's user has deleted for themselves."""
        if not scope.user or not seqs:
            return set()
        personal = self._tenants.known(scope.tenant).personal(scope.user)
        view = await self._rooms.view(scope, personal, View("find", own=True))
        keys = hiding.hidden_keys(personal, conversation, seqs)
        found = await self._lately.read(scope, personal, view, hiding.COLLECTION, keys)
        return {seq for doc in found.values() for seq in doc["seqs"]}

    async def _edits(self, scope: Scope, conversation: str, view: Mapping[str, Any], over: Iterable[Document]) -> dict[int, dict[str, Any]]:
        """The bodies of the edits that have set a field for good, by seq."""
        seqs = sorted({seq for doc in over for seq in doc.get("fields", {}).values()})
        return {row.seq: body for _, row, body in await self._opened(scope, conversation, view, seqs) if body is not None}

    async def _opened(self, scope: Scope, conversation: str, view: Mapping[str, Any], seqs: Sequence[int]) -> list[Opened]:
        return await self._history.opened(scope, await self._history.these(scope, conversation, seqs, view)) if seqs else []

    async def reactions(self, scope: Scope, conversation: str, view: Mapping[str, Any],
                        of: Sequence[tuple[Entry, Document]]) -> dict[tuple[str, bytes], dict[str, Any]]:
        """`{reactions: ...}` of those messages that have some, by their conversation and op."""
        keys = {((entry.conversation, entry.op), emoji): reactions.reaction_key(entry.conversation, entry.op, emoji)
                for entry, over in of for emoji in over.get("emojis", ())}
        if not keys:
            return {}
        found = await self._lately.read(scope, conversation, view, reactions.COLLECTION, list(keys.values()))
        users = {pair: found.get(key, {"users": ()})["users"] for pair, key in keys.items()}
        named = await self._people.of_internal(scope, sorted({user for some in users.values() for user in some[:SHOWN_USERS]}))
        shown: dict[tuple[str, bytes], dict[str, Any]] = {}
        for (message, emoji), some in users.items():
            if some:
                first = [named[user]["id"] for user in some[:SHOWN_USERS] if user in named]
                own = {"own": True} if scope.user in some else {}
                shown.setdefault(message, {"reactions": {}})["reactions"][emoji] = {"count": len(some), "users": first, **own}
        return shown


def shown_now(entry: Entry, row: StoredRow, body: Mapping[str, Any], over: Document, edits: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """A message as it reads now; without its reactions."""
    shown = render_message(entry, row.seq, row.n, _merged(body, over, edits))
    if "edited_at" in over:
        shown["edited_at"] = over["edited_at"]
    if over.get("pinned"):
        shown["pinned"] = True
    return shown


def _merged(body: Mapping[str, Any], over: Document, edits: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """The body with what its edits have set; what they cleared is gone."""
    changed = {name: edits[seq].get(name) for name, seq in over.get("fields", {}).items() if seq in edits}
    return {name: value for name, value in {**body, **changed}.items() if value is not None}


def _text(body: Mapping[str, Any], at: int) -> dict[str, Any]:
    return {"text": body["text"], "at": at} if body.get("text") is not None else {"at": at}
