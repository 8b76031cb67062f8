"""The verbs of blocks: block, unblock, and whom one blocks."""

import contextlib
from typing import Any

import msgspec

from protocol import replies
from protocol.errors import Refused
from services.acts import Act, Rooms, Verdict, View
from services.blocks.book import COLLECTION, block_key, closes
from services.blocks.model import Block, ListBlocks
from services.commands import command
from services.conversations.acting import Acting, People, check_somebody, seq_of
from services.conversations.rules import check_user, make_cursor, page_size, read_cursor
from services.lately import Lately
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.documents import Documents


class Blocks:
    """Whom users do not want to hear from."""

    def __init__(self, rooms: Rooms, documents: Documents, lately: Lately, people: People, acting: Acting, tenants: Tenants) -> None:
        self._rooms, self._documents, self._lately = rooms, documents, lately
        self._people, self._acting, self._tenants = people, acting, tenants

    @command("user.block", "POST /users/{user}/block", answers=replies.Done, makes=True)
    async def block(self, scope: Scope, p: Block) -> dict[str, Any]:
        """Hear no more from a user: neither of the two can send in their direct conversation."""
        return await self._changed(scope, p, "user.blocked", blocked=True)

    @command("user.unblock", "DELETE /users/{user}/block", answers=replies.Done)
    async def unblock(self, scope: Scope, p: Block) -> dict[str, Any]:
        """Hear from them again, unless they block too."""
        return await self._changed(scope, p, "user.unblocked", blocked=False)

    @command("user.blocks", "GET /users/me/blocks", answers=replies.BlockPage)
    async def list(self, scope: Scope, p: ListBlocks) -> dict[str, Any]:
        """Whom one blocks, the latest first; it may lag by what is not stored yet."""
        check_somebody(scope, "asks")
        after = read_cursor(p.cursor, tuple[int])
        size = page_size(p.limit, 50, 100)
        found = list(await self._documents.find(scope, COLLECTION, "of_user", [scope.user], after=after[0] if after else None, limit=size + 1,
                                                newest=True))
        docs = [held.doc for held in found[:size]]
        people = await self._people.of_internal(scope, [doc["blocked"] for doc in docs])
        items = [{"user": people[doc["blocked"]], "blocked_at": doc["at"]} for doc in docs if doc["blocked"] in people]
        return {"items": items, "next": make_cursor(docs[-1]["seq"])} if len(found) > size else {"items": items}

    async def _changed(self, scope: Scope, p: Block, kind: str, *, blocked: bool) -> dict[str, Any]:
        check_somebody(scope, "blocks")
        check_user(p.user, "user")
        if p.user == scope.external:
            raise Refused("bad_request", "Nobody blocks themselves: name another user.", field="user")
        other = (await self._acting.found(scope, [p.user], "user"))[p.user]
        tenant = self._tenants.known(scope.tenant)
        personal, direct = tenant.personal(scope.user), tenant.direct(scope.user, other)
        act = self._acting.act(scope, p, kind, {"user": other, "direct": direct}, {}, within=personal)
        act = msgspec.structs.replace(act, body={"user": p.user, "blocked": blocked}, moot=await self._moot(scope, personal, direct, blocked))
        verdict = await self._rooms.submit(scope, act)
        if not verdict.unchanged:
            await self._tell(scope, direct, act, verdict)
        return seq_of(verdict)

    async def _moot(self, scope: Scope, personal: str, direct: str, blocked: bool) -> bool:
        """Whether it is so already: also by what other nodes have decided by now."""
        return (await self._blocks(scope, personal, direct, sure=False) == blocked
                and await self._blocks(scope, personal, direct, sure=True) == blocked)

    async def _blocks(self, scope: Scope, personal: str, direct: str, *, sure: bool) -> bool:
        """Whether they block already, as far as their own conversation has decided."""
        key = block_key(direct, scope.user)
        view = await self._rooms.view(scope, personal, View("find", own=True, sure=sure))
        return closes((await self._lately.read(scope, personal, view, COLLECTION, [key])).get(key))

    async def _tell(self, scope: Scope, direct: str, act: Act, verdict: Verdict) -> None:
        """Have the room of the two know at once, and those who watch the blocker's presence. A room that cannot be told reads it when it
        wakes, and looks again now and then."""
        self._rooms.hint(scope, act.conversation, "presence.barred", {"user": act.facts["user"], "barred": act.body["blocked"]})
        with contextlib.suppress(Refused):
            await self._rooms.signal(scope, direct, "block.changed", {"seq": verdict.seq, "blocked": act.body["blocked"]})
