"""`conversation.list`: a few reads of storage and one question, however many conversations a user has.

The names of all by one find, when something happened in each by one look into their heads, sorted in memory. Then, for the page alone and
each in one read for all its rows: roles, heads, what they said last, how far they have got, messages for everybody, last messages and
what became of these; and one question to their personal room, for what is not stored yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from protocol.codec import pack
from protocol.errors import Refused
from services.conversations import rules
from services.conversations.model import List
from services.conversations.showing import conversation_object
from services.history import PAGE_BYTES
from services.receipts.pointers import NOWHERE, Pointer, unread, unread_mentions
from services.scope import Scope
from storage.ports.documents import Documents, Held

MOST = 10_000
"""Conversations of one user that are looked at."""


class Reached(Protocol):
    """What is needed of receipts."""

    async def own(self, scope: Scope, conversations: Sequence[str]) -> tuple[dict[str, Pointer], dict[str, Sequence[int]]]:
        """How far the scope's user has got in each, and the seqs of mentions they have not read."""
        ...


class Latest(Protocol):
    """What is needed of messages."""

    async def of(self, scope: Scope, last: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """By conversation the message at this seq as it reads now, from storage."""
        ...


class Activity(msgspec.Struct):
    """What of a head decides whether it is listed, and where."""

    last_at: int
    deleted: bool


class Page(NamedTuple):
    """What the rows of a page are made of, by conversation; memberships and authors by what their documents are called."""

    members: dict[str, Held]
    heads: dict[str, Held]
    authors: dict[str, Held]
    pointers: dict[str, Pointer]
    mentions: dict[str, Sequence[int]]
    for_all: dict[str, Held]
    last: dict[str, dict[str, Any]]


async def page(documents: Documents, latest: Latest, reached: Reached, scope: Scope, p: List) -> dict[str, Any]:
    """One page, latest activity first. It may lag by what is not stored yet."""
    if scope.is_application:
        raise Refused("bad_request", "Say whose conversations: send `CAAS-User`, or a user's token.")
    after = rules.read_cursor(p.cursor, tuple[int, str])
    size = rules.page_size(p.limit, 50, 100)
    belongs = [key.rpartition("/")[0] for key in await documents.keys(scope, "memberships", "of_user", [scope.user], limit=MOST)]
    activity = await documents.peek(scope, "heads", belongs, Activity)
    rows = sorted(((head.last_at, name) for name, head in activity.items() if not head.deleted), reverse=True)
    wanted = [row for row in rows if after is None or row < after][: size + 1]
    names = [name for _, name in wanted[:size]]
    items, taken = _items(await _read(documents, latest, reached, scope, names), names, scope.user)
    return {"items": items, "next": rules.make_cursor(*wanted[taken - 1])} if len(wanted) > taken else {"items": items}


async def _read(documents: Documents, latest: Latest, reached: Reached, scope: Scope, names: list[str]) -> Page:
    if not names:
        return Page({}, {}, {}, {}, {}, {}, {})
    own = [f"{name}/{scope.user}" for name in names]
    members = await documents.get_many(scope, "memberships", own)
    heads = await documents.get_many(scope, "heads", names)
    authors = await documents.get_many(scope, "authors", own)
    pointers, mentions = await reached.own(scope, names)
    for_all = await documents.get_many(scope, "mentions_of_all", names)
    last = await latest.of(scope, {name: seq for name in heads if (seq := heads[name].doc["last_message"])})
    return Page(members, heads, authors, pointers, mentions, for_all, last)


def _items(read: Page, names: list[str], user: str) -> tuple[list[dict[str, Any]], int]:
    """As many rows as fit into a page, and how many names were taken for them."""
    items: list[dict[str, Any]] = []
    size = 0
    for taken, name in enumerate(names, 1):
        key = f"{name}/{user}"
        if key not in read.members or name not in read.heads:
            continue  # they have left in this very moment
        items.append(_item(read, name, read.members[key].doc, read.authors.get(key)))
        size += len(pack(items[-1]))
        if size > PAGE_BYTES:
            return items, taken
    return items, len(names)


def _item(read: Page, name: str, member: dict[str, Any], author: Held | None) -> dict[str, Any]:
    head, pointer = read.heads[name].doc, read.pointers.get(name, NOWHERE)
    own_n, own_seq = (author.doc["n"], author.doc["seq"]) if author else (0, 0)
    said = read.for_all[name].doc["by"] if name in read.for_all else ()
    for_all = [seq for seq, sender in said if sender != member["user"] and seq > member["joined"]]
    mentions = unread_mentions(read.mentions.get(name, ()), for_all, max(pointer.read, own_seq))
    last = {"last_message": read.last[name]} if name in read.last else {}
    return {"conversation": conversation_object(name, head), "role": member["role"], "read_seq": pointer.read, "read_n": pointer.n,
            "last_n": head["n"], "own_n": own_n, "unread": unread(head["n"], pointer.n, own_n), "unread_mentions": mentions, **last}
