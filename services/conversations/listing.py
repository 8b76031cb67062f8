"""`conversation.list`: from storage alone, a few reads however many conversations a user has."""

from typing import Any

from protocol.codec import pack
from protocol.errors import Refused
from services.conversations import rules
from services.conversations.model import List
from services.conversations.showing import conversation_object
from services.history import PAGE_BYTES, History
from services.scope import Scope
from storage.ports.documents import Documents, Held

MOST = 10_000
"""Conversations of one user that are looked at."""


async def page(documents: Documents, history: History, scope: Scope, p: List) -> dict[str, Any]:
    """One page, latest activity first. It may lag by what is not stored yet."""
    if scope.is_application:
        raise Refused("bad_request", "Say whose conversations: send `CAAS-User`, or a user's token.")
    after = rules.read_cursor(p.cursor, tuple[int, str])
    size = rules.page_size(p.limit, 50, 100)
    memberships = {held.doc["conversation"]: held for held in await documents.find(scope, "memberships", "of_user", [scope.user], limit=MOST)}
    heads = await documents.get_many(scope, "heads", list(memberships))
    latest = sorted(((held.doc["last_at"], name) for name, held in heads.items() if not held.doc["deleted"]), reverse=True)
    wanted = [row for row in latest if after is None or row < after][: size + 1]
    items = await _items(documents, history, scope, [name for _, name in wanted[:size]], memberships, heads)
    return {"items": items, "next": rules.make_cursor(*wanted[len(items) - 1])} if len(wanted) > len(items) else {"items": items}


async def _items(documents: Documents, history: History, scope: Scope, names: list[str], memberships: dict[str, Held],
                 heads: dict[str, Held]) -> list[dict[str, Any]]:
    authored = await documents.get_many(scope, "authors", [f"{name}/{scope.user}" for name in names])
    items: list[dict[str, Any]] = []
    size = 0
    for name in names:
        head, own = heads[name].doc, authored.get(f"{name}/{scope.user}")
        own_n = own.doc["n"] if own else 0
        item = {"conversation": conversation_object(name, head), "role": memberships[name].doc["role"], "read_seq": 0, "read_n": 0,
                "last_n": head["n"], "own_n": own_n, "unread": max(0, head["n"] - own_n), "unread_mentions": 0}
        if head["last_message"]:
            item |= await history.last_message(scope, name, head["last_message"])
        items.append(item)
        size += len(pack(item))
        if size > PAGE_BYTES:
            break
    return items
