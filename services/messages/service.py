"""The verbs of messages: send and list."""

from collections.abc import Awaitable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from protocol.ids import FURTHEST_AHEAD_MS, parse_act
from protocol.world import Clock
from services.acts import Act, Asked, Verdict
from services.commands import command
from services.conversations.acting import People, flags
from services.conversations.rules import check_conversation, checked_op, page_size
from services.digests import said
from services.history import History
from services.messages.changing import checked_message
from services.messages.current import KINDS, Current
from services.messages.model import Listing, One, Send
from services.messages.rules import check_message, check_reference
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.entry import decode_entry

_END = 2**53


class Messages:
    """Messages in conversations."""

    def __init__(self, history: History, current: Current, people: People, tenants: Tenants, clock: Clock) -> None:
        self._history, self._current, self._people, self._tenants, self._clock = history, current, people, tenants, clock

    @command("message.send", "POST /conversations/{c}/messages", answers=replies.Sent, makes=True, needs=("send",), keyed="id")
    def send(self, scope: Scope, p: Send) -> Asked | Awaitable[Asked]:
        """Say something in a conversation."""
        check_conversation(p.c)
        op = checked_op(p.id, "id", self._clock.now_ms(), FURTHEST_AHEAD_MS)
        check_message(p)
        if scope.is_application:
            raise Refused("forbidden", "The application itself cannot send: say who does, with `CAAS-User`.")
        asked = Asked(self._act(scope, p, op), lambda verdict: _answer(p.id, verdict))
        return self._mentioning(scope, p, asked) if p.mentions else asked

    @command("message.get", "GET /conversations/{c}/messages/{id}", answers=replies.MessageSeen)
    async def get(self, scope: Scope, p: One) -> dict[str, Any]:
        """A message as it is, and the texts it had before."""
        passage = await self._history.find(scope, p.c, checked_message(p.c, p.id))
        known = [row for row in passage.rows if decode_entry(row.data).kind in KINDS]
        shown = await self._current.messages(scope, p.c, passage._replace(rows=known))
        if not shown:
            raise Refused("not_found", "There is no such message.", field="id")
        return {"message": shown[0], "edits": await self._current.earlier(scope, p.c, passage)}

    @command("message.list", "GET /conversations/{c}/messages", answers=replies.MessagePage)
    async def read(self, scope: Scope, p: Listing) -> dict[str, Any]:
        """A page of messages, oldest first."""
        check_conversation(p.c)
        if sum(edge is not UNSET for edge in (p.before, p.after, p.around)) > 1:
            raise Refused("bad_request", "Give one of `before`, `after` and `around`.", field="before")
        check_reference(p.thread, "thread")
        size = page_size(p.limit, 50, 100)
        if p.thread is not UNSET:
            return await self._thread(scope, p, size)
        if p.around is not UNSET:
            return await self._around(scope, p.c, p.around, size)
        if p.after is not UNSET:
            return await self._page(scope, p.c, p.after, _END, size, newest=False)
        return await self._page(scope, p.c, 0, _END if p.before is UNSET else p.before, size, newest=True)

    def _act(self, scope: Scope, p: Send, op: bytes) -> Act:
        fields = said(p)
        digest = self._tenants.known(scope.tenant).digest("message.send", scope.user, fields)
        body = {"sender": scope.external, "type": "text", **fields}
        del body["c"], body["id"]
        kind = "message.new" if p.thread is UNSET else "message.reply"
        facts: dict[str, Any] = {} if p.thread is UNSET else {"thread": p.thread}
        if body["type"] != "text":
            facts["type"] = body["type"]
        if p.mention_all is True:
            facts["mention_all"] = True
        after = parse_act(p.after) if p.after is not UNSET else None
        if p.after is not UNSET and after is None:
            raise Refused("bad_request", "`after` must be the id of your previous message, a lower-case UUIDv7.", field="after")
        return Act(p.c, kind, op, digest, facts, body, scope.user, scope.external, after)

    async def _mentioning(self, scope: Scope, p: Send, asked: Asked) -> Asked:
        mentions: Sequence[str] = p.mentions or ()
        found = await self._people.of_external(scope, mentions)
        for place, user in enumerate(mentions):
            if user not in found:
                raise Refused("not_found", f"There is no user `{user}`.", field=f"mentions.{place}")
        facts = {**asked.act.facts, "mentions": list(found.values())}
        return Asked(msgspec.structs.replace(asked.act, facts=facts), asked.answer)

    async def _page(self, scope: Scope, c: str, after: int, before: int, size: int, *, newest: bool) -> dict[str, Any]:
        passage = await self._history.around(scope, c, after, before, size, ("message.new",), newest=newest)
        items = await self._current.messages(scope, c, passage)
        earlier = passage.more if newest else after > 0
        later = before < _END if newest else passage.more
        return _paged(items, [row.seq for row in passage.rows], earlier, later)

    async def _around(self, scope: Scope, c: str, middle: int, size: int) -> dict[str, Any]:
        left = await self._history.around(scope, c, 0, middle + 1, size // 2 + 1, ("message.new",), newest=True)
        right = await self._history.around(scope, c, middle, _END, size - len(left.rows), ("message.new",), newest=False)
        items = await self._current.messages(scope, c, left) + await self._current.messages(scope, c, right)
        return _paged(items, [row.seq for row in (*left.rows, *right.rows)], left.more, right.more)

    async def _thread(self, scope: Scope, p: Listing, size: int) -> dict[str, Any]:
        """Replies are found by reading on among all replies of the conversation until a page is full."""
        newest = p.after is UNSET
        after, before = p.after or 0, _END if p.before is UNSET else p.before
        items: list[dict[str, Any]] = []
        while True:
            passage = await self._history.around(scope, p.c, after, before, 100, ("message.reply",), newest=newest)
            fresh = [item for item in await self._current.messages(scope, p.c, passage) if item.get("thread") == p.thread]
            items = fresh + items if newest else items + fresh
            if not passage.more or len(items) > size:
                break
            after, before = (after, passage.rows[0].seq) if newest else (passage.rows[-1].seq, before)
        more = passage.more or len(items) > size
        items = items[-size:] if newest else items[:size]
        return _paged(items, [item["seq"] for item in items], more if newest else bool(p.after), more if not newest else bool(p.before))


def _answer(id_: str, verdict: Verdict) -> dict[str, Any]:
    placed = {"n": verdict.n} if verdict.n else {}
    return {"id": id_, "seq": verdict.seq, **placed, "sent_at": verdict.at, **flags(verdict)}


def _paged(items: list[dict[str, Any]], seqs: Sequence[int], earlier: bool, later: bool) -> dict[str, Any]:
    """`seqs`: those that were looked at, hidden ones too."""
    page: dict[str, Any] = {"items": items}
    if seqs and earlier:
        page["prev"] = seqs[0]
    if seqs and later:
        page["next"] = seqs[-1]
    return page

