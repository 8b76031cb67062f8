"""The verbs of what becomes of a message: edit, delete, pin."""

from collections.abc import Awaitable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from protocol.ids import parse_act
from protocol.world import Clock, Ids
from services.acts import Act, Asked, Verdict
from services.commands import command
from services.conversations.acting import People, flags, seq_of
from services.conversations.rules import check_conversation, checked_op
from services.digests import said
from services.messages.current import CHANGEABLE, Current, Target
from services.messages.model import Delete, Edit, Pin
from services.messages.rules import check_edit, check_left
from services.scope import Scope
from services.tenants import Tenants


class Changing:
    """What becomes of messages."""

    def __init__(self, current: Current, people: People, tenants: Tenants, clock: Clock, ids: Ids) -> None:
        self._current, self._people, self._tenants, self._clock, self._ids = current, people, tenants, clock, ids

    @command("message.edit", "PATCH /conversations/{c}/messages/{id}", answers=replies.Edited, needs=("edit_own", "edit_any"))
    async def edit(self, scope: Scope, p: Edit) -> Asked:
        """Say it better. Absent: unchanged; null: cleared."""
        checked_message(p.c, p.id)
        check_edit(p)
        return await self._current.surely(partial(self._edited, scope, p))

    async def _edited(self, scope: Scope, p: Edit, sure: bool) -> Asked:
        message = checked_message(p.c, p.id)
        changed = {name: value for name, value in said(p).items() if name in CHANGEABLE}
        target = await self._current.target(scope, p.c, message, sure=sure)
        mentions = await self._mentioned(scope, p)
        if not target.refusal and not target.deleted:
            check_left({**target.body, **changed})
        moot = all(target.body.get(name) == value for name, value in changed.items()) and not target.refusal
        facts = {"edits": message, "of": target.sender, "fields": sorted(changed), **mentions}
        act = self._act(scope, p, "message.edited", facts, changed, _refusal(target), moot)
        return Asked(act, lambda verdict: _edited(verdict, target))

    @command("message.delete", "DELETE /conversations/{c}/messages/{id}", answers=replies.Done, needs=("delete_own", "delete_any"))
    async def delete(self, scope: Scope, p: Delete) -> Asked:
        """Take a message back for everybody, or out of one's own sight."""
        checked_message(p.c, p.id)
        return await self._current.surely(partial(self._deleted, scope, p))

    async def _deleted(self, scope: Scope, p: Delete, sure: bool) -> Asked:
        message = checked_message(p.c, p.id)
        target = await self._current.target(scope, p.c, message, sure=sure)
        if p.for_ == "me":
            return await self._hide(scope, p, target)
        facts = {"removes": message, "of": target.sender, "seq": target.seq}
        return Asked(self._act(scope, p, "message.deleted", facts, {}, target.refusal, target.deleted), seq_of)

    @command("message.pin", "PUT /conversations/{c}/messages/{id}/pin", answers=replies.Done, needs=("pin",))
    async def pin(self, scope: Scope, p: Pin) -> Asked:
        """Pin a message for everybody."""
        return await self._current.surely(partial(self._pinned, scope, p, True))

    @command("message.unpin", "DELETE /conversations/{c}/messages/{id}/pin", answers=replies.Done, needs=("pin",))
    async def unpin(self, scope: Scope, p: Pin) -> Asked:
        """Unpin it."""
        return await self._current.surely(partial(self._pinned, scope, p, False))

    async def _pinned(self, scope: Scope, p: Pin, on: bool, sure: bool) -> Asked:
        message = checked_message(p.c, p.id)
        target = await self._current.target(scope, p.c, message, sure=sure)
        kind, moot = "message.pinned" if on else "message.unpinned", bool(target.overlay.get("pinned")) == on
        return Asked(self._act(scope, p, kind, {"message": message}, {}, _refusal(target), moot and not target.refusal), seq_of)

    async def _hide(self, scope: Scope, p: Delete, target: Target) -> Asked:
        """An act of one's own conversation: nobody else learns of it."""
        if scope.is_application:
            raise Refused("bad_request", "Only a user can delete a message for themselves: send `CAAS-User`, or `for=all`.", field="for")
        moot = not target.refusal and target.seq in await self._current.hidden(scope, p.c, [target.seq])
        tenant = self._tenants.known(scope.tenant)
        act = self._act(scope, p, "message.hidden", {"conversation": p.c, "seq": target.seq}, {}, target.refusal, moot)
        act = msgspec.structs.replace(act, conversation=tenant.personal(scope.user), body={"conversation": p.c, "id": p.id})
        return Asked(act, seq_of)

    async def _mentioned(self, scope: Scope, p: Edit) -> dict[str, list[str]]:
        if not p.mentions:
            return {}
        found = await self._people.of_external(scope, p.mentions)
        for place, user in enumerate(p.mentions):
            if user not in found:
                raise Refused("not_found", f"There is no user `{user}`.", field=f"mentions.{place}")
        return {"mentions": list(found.values())}

    def _act(self, scope: Scope, p: Edit | Delete | Pin, kind: str, facts: dict[str, Any], told: dict[str, Any], refusal: str, moot: bool) -> Act:
        op = self._ids.uuid7() if p.op is UNSET else checked_op(p.op, "op", self._clock.now_ms())
        digest = self._tenants.known(scope.tenant).digest(kind, scope.user, said(p))
        by = {"by": scope.external} if scope.user else {}
        return Act(p.c, kind, op, digest, facts, {"id": p.id, **by, **told}, scope.user, scope.external, None, refusal, moot)


def checked_message(conversation: str, id_: str) -> bytes:
    """The 16 bytes of a message's id. Raises Refused."""
    check_conversation(conversation)
    message = parse_act(id_)
    if message is None:
        raise Refused("bad_request", "`id` must be a message's id, a lower-case UUIDv7.", field="id")
    return message


def _refusal(target: Target) -> str:
    return target.refusal or ("not_found" if target.deleted else "")


def _edited(verdict: Verdict, target: Target) -> dict[str, Any] | Awaitable[dict[str, Any]]:
    before = target.overlay.get("edited_at") or (target.entry.at if target.entry else 0)
    return {"seq": verdict.seq, "edited_at": verdict.at or before, **flags(verdict)}
