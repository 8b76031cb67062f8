"""The verbs of receipts, `message.read` and `.delivered`, and who has got how far, for whoever shows it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from protocol import replies
from protocol.errors import Refused
from protocol.world import Clock
from services.acts import Rooms, View
from services.commands import command
from services.conversations.rules import check_conversation
from services.receipts.model import Reached
from services.receipts.pointers import NOWHERE, Pointer, document_key, pointer_of, shown
from services.recent import Recent
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.documents import Documents
from storage.ports.entry import decode_entry
from storage.ports.log import Log

_MOST_CACHED = 50_000
_MESSAGE = ("message.new",)


class Named(Protocol):
    """What is needed of users."""

    async def of_internal(self, scope: Scope, users: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the wire shows of them, by internal id."""
        ...


class Last(NamedTuple):
    """The last message at or before a seq: its number among messages, and who sent it (internal id; empty when that is not needed)."""

    n: int
    sender: str = ""


class Receipts:
    """Pointers go from here to the user's personal room, which has the log keep them; receipts to the conversation's room, which tells
    those who watch it, and remembers."""

    def __init__(self, rooms: Rooms, documents: Documents, log: Log, people: Named, tenants: Tenants, clock: Clock) -> None:
        self._rooms, self._documents, self._log, self._people = rooms, documents, log, people
        self._tenants, self._clock = tenants, clock
        self._last: Recent[tuple[str, str, int], Last] = Recent(_MOST_CACHED)  # what was said as number n never changes

    @command("message.read", "POST /conversations/{c}/read", answers=replies.Nothing)
    async def read(self, scope: Scope, p: Reached) -> dict[str, Any]:
        """Say that everything up to a seq was read."""
        last = await self._last_at(scope, p)
        return await self._reached(scope, p, "read", Pointer(p.seq, last.n, p.seq), last.sender)

    @command("message.delivered", "POST /conversations/{c}/delivered", answers=replies.Nothing)
    async def delivered(self, scope: Scope, p: Reached) -> dict[str, Any]:
        """Say that everything up to a seq has reached a device."""
        last = await self._last_at(scope, p)
        return await self._reached(scope, p, "delivered", Pointer(delivered=p.seq), last.sender)

    async def of_members(self, scope: Scope, conversation: str, users: Sequence[str] | None = None) -> dict[str, Pointer]:
        """How far members have got, by their external ids: the first 100 by joining, or these (internal ids). Whoever has not begun is
        left out. The scope's right to know must have been checked."""
        wanted = {} if users is None else {"users": list(users)}
        told = await self._rooms.signal(scope, conversation, "receipts.known", wanted, again=True)
        learned = await self._stored(scope, conversation, told["unknown"])
        if learned:
            self._rooms.hint(scope, conversation, "receipts.learn", {"known": {user: list(row) for user, row in learned.items()}})
        rows = {**told["known"], **learned}
        return {name: Pointer(*pointer) for name, *pointer in rows.values() if name}

    async def shown(self, scope: Scope, conversation: str) -> dict[str, dict[str, int]]:
        """The same of the first 100 members, as *watched* tells it. Not to be changed: others are shown the same object."""
        return self.shown_now(scope, conversation) or shown(await self.of_members(scope, conversation))

    def shown_now(self, scope: Scope, conversation: str) -> dict[str, dict[str, int]] | None:
        """The same, if the room is here and knows all of them."""
        found: dict[str, dict[str, int]] | None = self._rooms.signal_now(scope, conversation, "receipts.shown", {})
        return found

    async def own(self, scope: Scope, conversations: Sequence[str]) -> tuple[dict[str, Pointer], dict[str, Sequence[int]]]:
        """How far the scope's user has got in each of these, and the seqs of unread mentions: stored, and what is not stored yet.

        One question to the user's personal room, and one read after it, whatever their number: what the room does not know any more
        when it is asked is in storage by then.
        """
        personal = self._tenants.known(scope.tenant).personal(scope.user)
        keys = {document_key(personal, name): name for name in conversations}
        fresh = await self._rooms.signal(scope, personal, "pointers.known", {"conversations": list(conversations)}, again=True)
        held = await self._documents.get_many(scope, "pointers", list(keys))
        pointers = {keys[key]: pointer_of(found.doc) for key, found in held.items()}
        for name, pointer in fresh.items():
            pointers[name] = pointers.get(name, NOWHERE).forward(Pointer(*pointer))
        return pointers, {keys[key]: found.doc["mentions"] for key, found in held.items()}

    async def _last_at(self, scope: Scope, p: Reached) -> Last:
        """The last message at or before the seq: from the room's memory, or one read."""
        check_conversation(p.c)
        if scope.is_application:
            raise Refused("forbidden", "The application itself reads nothing: say who does, with `CAAS-User`.")
        told = await self._rooms.view(scope, p.c, View("reached", after=p.seq, floor=p.seq))
        if told["n"] is None or (told["n"] and told["sender"] is None):
            return await self._look_up(scope, p, told["n"])
        return Last(told["n"], told["sender"] or "")

    async def _look_up(self, scope: Scope, p: Reached, n: int | None) -> Last:
        if n is not None and (known := self._last.get((scope.tenant, p.c, n))):
            return known
        rows = await self._log.entries(scope, p.c, 0, p.seq + 1, 1, newest=True, kinds=_MESSAGE)
        if not rows:
            return Last(0)
        last = Last(rows[0].n, decode_entry(rows[0].data).actor)
        self._last.put((scope.tenant, p.c, last.n), last)
        return last

    async def _reached(self, scope: Scope, p: Reached, what: str, to: Pointer, sender: str) -> dict[str, Any]:
        personal = self._tenants.known(scope.tenant).personal(scope.user)
        if moved := await self._moved(scope, personal, p.c, to):
            told = {"what": what, "seq": p.seq, "to": moved, "at": self._clock.now_ms(), "sender": sender}
            self._rooms.hint(scope, p.c, "receipts.moved", told)
        return {}

    async def _moved(self, scope: Scope, personal: str, conversation: str, to: Pointer) -> list[int]:
        """Hand it to the personal room; with what is stored, where that does not know where the pointer stood. The pointer then, if it moved."""
        move = {"c": conversation, "to": list(to)}
        moved = await self._rooms.signal(scope, personal, "pointers.move", move, again=True)
        if moved is None:
            held = await self._documents.get(scope, "pointers", document_key(personal, conversation))
            stored = pointer_of(held.doc if held else None)
            moved = await self._rooms.signal(scope, personal, "pointers.move", {**move, "from": list(stored)}, again=True)
        return list(moved or ())

    async def _stored(self, scope: Scope, conversation: str, users: Iterable[str]) -> dict[str, tuple[str, int, int, int]]:
        """(external id, pointer) of each, from storage; without a name where they have not begun."""
        tenant = self._tenants.known(scope.tenant)
        keys = {user: document_key(tenant.personal(user), conversation) for user in users}
        held = await self._documents.get_many(scope, "pointers", list(keys.values())) if keys else {}
        begun = {user: pointer_of(held[key].doc) for user, key in keys.items() if key in held}
        people: Mapping[str, dict[str, Any]] = await self._people.of_internal(scope, list(begun)) if begun else {}
        return {user: (people[user]["id"] if user in people else "", *begun.get(user, NOWHERE)) for user in keys}
