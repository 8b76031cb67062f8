"""The list of one conversation's messages: folded from pages of history and from pushes, in order of `seq`. Pure.

It is one unbroken stretch that reaches to the newest message. A page of history and the pushes come in either order. What a page shows may
be told again by later pushes: doing it twice gives the same. What a page does not show yet may have been told already: pushes about messages
that were not here are kept for a while, and told again to those that come.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from caas_sdk.core import message as messages
from caas_sdk.core.message import Message

_UNPLACED = 1_000
"""So many of the latest pushes about messages that are not here are kept."""


class Timeline:
    """What is known of the messages of a conversation, as `me` sees them."""

    def __init__(self, conversation: str, me: str) -> None:
        self.conversation, self.me = conversation, me
        self.prev: int | None = None
        """What to ask for (`before`) to see earlier messages; None when there are none, or nothing is loaded."""
        self.loaded = False
        """Whether a page of history has been taken in."""
        self.hidden: set[str] = set()
        self._by_id: dict[str, Message] = {}
        self._unplaced: deque[Mapping[str, Any]] = deque(maxlen=_UNPLACED)
        self._asked: dict[str, list[Mapping[str, Any]]] = {}
        """Messages that only the server can tell now, and what was pushed of them since it was asked."""
        self._to_ask: list[str] = []
        self._order: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._order)

    def get(self, id_: str) -> Message | None:
        """A message that is here."""
        return self._by_id.get(id_)

    def all(self) -> list[Message]:
        """Everything that is here, replies in threads too."""
        return [self._by_id[id_] for _, id_ in self._order]

    def messages(self) -> list[Message]:
        """The conversation itself, oldest first: without replies in threads."""
        return [message for message in self.all() if message.thread is None]

    def thread(self, root: str) -> list[Message]:
        """The replies in one thread that are here, oldest first."""
        return [message for message in self.all() if message.thread == root]

    def take_page(self, items: Iterable[Mapping[str, Any]], prev: int | None, *, earlier: bool) -> None:
        """Take in a page of history: the latest one, or the one before what is here (`earlier`)."""
        self.absorb(items)
        if earlier or not self.loaded:
            self.prev = prev
        self.loaded = True

    def absorb(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Take in messages from elsewhere: replies in a thread, say. What is here already is at least as new, or will be."""
        came = {p["id"]: p for p in items if p["id"] not in self._by_id}
        for p in items:
            self._arrive(p)
        for push in [push for push in self._unplaced if push["p"].get("id") in came]:
            self.apply(push)

    def confirm(self, message: Message, *, told: bool) -> None:
        """One's own message was answered before its push came. `told`: pushes are past it, so that it has to be asked for."""
        if message.id in self._by_id or (told and self.prev is not None and message.seq < self.prev):
            return
        self._put(replace(message, provisional=True))
        if told:
            self._want(message.id)

    def incomplete(self) -> list[str]:
        """Messages that the server has to be asked for; each is told once, until `refresh`."""
        asked, self._to_ask = self._to_ask, []
        return asked

    def refresh(self, id_: str, p: Mapping[str, Any] | None) -> None:
        """A message that was asked for, as the server showed it; nothing, where it could not."""
        since = self._asked.pop(id_, [])
        if p is not None and id_ in self._by_id:
            self._put(self._from(p))
            for push in since:
                self.apply(push)

    def apply(self, push: Mapping[str, Any]) -> Message | None:
        """Take in a durable push; the message as it is now, when it is here."""
        p = push.get("p") or {}
        if push["t"] == "message.new":
            return self._arrive({"sent_at": push.get("at", 0), **p, "seq": push["s"]})
        rule = _RULES.get(push["t"])
        if rule is None:
            return None
        known = self._by_id.get(p["id"])
        if known is None:
            self._unplaced.append(push)
            return None
        if known.id in self._asked:
            self._asked[known.id].append(push)
        after = self._by_id[known.id] = rule(self, known, p, push.get("at", 0))
        if after is not known and messages.unsure(known, after, p):
            self._want(known.id)
        return after

    def hide(self, id_: str) -> None:
        """Forget a message for good: it was deleted for this user."""
        self.hidden.add(id_)
        self._remove(id_)

    def drop(self, until: int | None = None) -> None:
        """Forget everything (up to a place): the server no longer has it so."""
        for _, id_ in (gone := [place for place in self._order if until is None or place[0] <= until]):
            del self._by_id[id_]
        del self._order[: len(gone)]
        self.prev, self.loaded = None, False
        self._unplaced.clear()

    def _want(self, id_: str) -> None:
        if id_ not in self._asked:
            self._asked[id_] = []
            self._to_ask.append(id_)

    def _arrive(self, p: Mapping[str, Any]) -> Message | None:
        here = self._by_id.get(p["id"])
        arriving = self._from(p)
        if here is None or here.provisional or (arriving.deleted and not here.deleted):
            self._put(arriving)
        return self._by_id.get(arriving.id)

    def _from(self, p: Mapping[str, Any]) -> Message:
        return messages.from_wire(self.conversation, p, self.me)

    def _put(self, message: Message) -> None:
        self._remove(message.id)
        if message.id not in self.hidden:
            self._by_id[message.id] = message
            insort(self._order, (message.seq, message.id))

    def _remove(self, id_: str) -> None:
        message = self._by_id.pop(id_, None)
        if message is not None:
            del self._order[bisect_left(self._order, (message.seq, id_))]


def _updated(timeline: Timeline, message: Message, p: Mapping[str, Any], at: int) -> Message:
    return messages.changed(message, {"edited_at": at, **p})


def _deleted(timeline: Timeline, message: Message, p: Mapping[str, Any], at: int) -> Message:
    return message if message.deleted else messages.tombstone(message, p.get("deleted_at", at))


def _reacted(timeline: Timeline, message: Message, p: Mapping[str, Any], at: int) -> Message:
    return messages.reacted(message, p["emoji"], p["user"], timeline.me, p.get("count"))


def _unreacted(timeline: Timeline, message: Message, p: Mapping[str, Any], at: int) -> Message:
    return messages.unreacted(message, p["emoji"], p["user"], timeline.me, p.get("count"))


def _pinned(timeline: Timeline, message: Message, p: Mapping[str, Any], at: int) -> Message:
    return message if message.deleted else replace(message, pinned=True)


def _unpinned(timeline: Timeline, message: Message, p: Mapping[str, Any], at: int) -> Message:
    return replace(message, pinned=False)


_Rule = Callable[[Timeline, Message, Mapping[str, Any], int], Message]
_RULES: dict[str, _Rule] = {
    "message.updated": _updated, "message.deleted": _deleted, "reaction.added": _reacted, "reaction.removed": _unreacted,
    "message.pinned": _pinned, "message.unpinned": _unpinned,
}
