"""The list of a user's conversations, latest activity first, with what is unread in each. Pure.

Unread is counted in one way everywhere: the latest `n`, less the larger of `n` where one has read to and `n` of one's own last message.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = 2**53


@dataclass(slots=True)
class Row:
    """One conversation of the list."""

    id: str
    conversation: dict[str, Any] = field(default_factory=dict)
    role: str = ""
    read_seq: int = 0
    read_n: int = 0
    last_n: int = 0
    own_n: int = 0
    last_seq: int = 0
    """The seq of the message that `last_n` counts; UNKNOWN when only its `n` was told."""
    unread_mentions: int = 0
    last_message: dict[str, Any] | None = None
    active_at: int = 0
    muted_until: int | None = None
    pinned: bool = False
    archived: bool = False

    @property
    def unread(self) -> int:
        """Messages of others that one has not read."""
        return max(0, self.last_n - max(self.read_n, self.own_n))


class Inbox:
    """All conversations that one has been told of."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.stale = False
        """Something happened that only a fresh page can tell."""
        self.loaded = False
        self.blocked: set[str] = set()
        self.settings: dict[str, Any] = {}
        self.asked = 0
        """Pages that are on their way: what happens meanwhile may be in them or not."""
        self._gone: set[str] = set()

    def sorted(self) -> list[Row]:
        """Latest activity first, as `conversation.list` gives it."""
        return sorted(self.rows.values(), key=lambda row: (row.active_at, row.id), reverse=True)

    def take_page(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Rows as the server has them."""
        self.loaded = True
        for item in items:
            if item["conversation"]["id"] not in self._gone:
                self._put(item)

    def anew(self) -> None:
        """What is known is out of date: where it was loaded, it is loaded anew."""
        self.rows.clear()
        self.stale = self.loaded

    def messaged(self, c: str, message: Mapping[str, Any], me: str, at: int) -> None:
        """A message arrived in a conversation that one watches."""
        row = self.rows.get(c)
        if row is None:
            self.stale = True
            return
        if message.get("thread") is not None or "n" not in message:
            return
        self.noticed(c, message["seq"], message["n"], message.get("sender", ""), me, message.get("sent_at", at))
        if message["n"] >= row.last_n:
            row.last_message = dict(message)

    def noticed(self, c: str, seq: int, n: int, sender: str, me: str, at: int) -> None:
        """Something new in a conversation."""
        row = self.rows.get(c)
        if row is None:
            self.stale = True
            return
        if n > row.last_n:
            row.last_n, row.last_seq, row.active_at = n, seq, max(at, row.active_at)
        if sender == me:
            row.own_n = max(row.own_n, n)
        if seq <= row.read_seq:  # read already, before it was known what n that is
            row.read_n = max(row.read_n, n)

    def read(self, c: str, seq: int, n: int | None) -> None:
        """One has read to a place: `n` is the place among messages, where it is known."""
        row = self.rows.get(c)
        if row is None:
            self.stale = True
            return
        if seq <= row.read_seq:
            return
        row.read_seq = seq
        if seq >= row.last_seq:
            n, row.unread_mentions = row.last_n, 0
        if n is None:
            self.stale = True
        else:
            row.read_n = max(row.read_n, n)

    def mentioned(self, c: str) -> None:
        """One was mentioned."""
        if c in self.rows:
            self.rows[c].unread_mentions += 1
        self.stale = self.stale or c not in self.rows or self.asked > 0

    def joined(self, c: str) -> None:
        """One has a conversation more."""
        self._gone.discard(c)
        self.stale = self.stale or c not in self.rows

    def left(self, c: str) -> None:
        """One has it no longer."""
        self.rows.pop(c, None)
        self._gone.add(c)

    def changed(self, c: str, p: Mapping[str, Any]) -> None:
        """What a conversation is called and so on."""
        if c in self.rows:
            row = self.rows[c].conversation
            row |= {name: value for name, value in p.items() if name not in ("by", "users", "user")}
            for name in [name for name, value in row.items() if value is None]:
                del row[name]

    def _put(self, item: Mapping[str, Any]) -> None:
        conversation, last = dict(item["conversation"]), item.get("last_message")
        row = self.rows.setdefault(conversation["id"], Row(conversation["id"]))
        row.conversation, row.role = conversation, item.get("role", "")
        if item.get("last_n", 0) >= row.last_n:
            row.last_n = item.get("last_n", 0)
            row.last_message, row.last_seq = (dict(last), last["seq"]) if last else (None, UNKNOWN if row.last_n else 0)
        row.own_n = max(row.own_n, item.get("own_n", 0))
        row.read_n, row.read_seq = max(row.read_n, item.get("read_n", 0)), max(row.read_seq, item.get("read_seq", 0))
        if row.read_seq >= row.last_seq:
            row.read_n = row.last_n
        row.unread_mentions = item.get("unread_mentions", 0)
        row.active_at = max(row.active_at, (last or {}).get("sent_at", 0), conversation.get("created_at", 0))
        row.muted_until, row.pinned, row.archived = item.get("muted_until"), bool(item.get("pinned")), bool(item.get("archived"))
