"""The verbs of conversations: create, get, list, sync; update, freeze and delete."""

from typing import Any

from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from protocol.ids import show_act
from services.acts import Act, Asked, Rooms, Verdict, View
from services.commands import command
from services.conversations import listing, rules
from services.conversations.acting import Acting, by, flags, seq_of
from services.conversations.model import ABOUT, Create, Freeze, List, Named, Sync, Update, Whole
from services.conversations.showing import conversation_object, created_object
from services.digests import said
from services.history import History
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.documents import Documents


class Conversations:
    """Conversations as wholes; who belongs to them is in `membership.py`."""

    def __init__(self, rooms: Rooms, history: History, documents: Documents, reached: listing.Reached, latest: listing.Latest, acting: Acting,
                 tenants: Tenants) -> None:
        self._rooms, self._history, self._documents, self._reached, self._latest = rooms, history, documents, reached, latest
        self._acting, self._tenants = acting, tenants

    @command("conversation.create", "POST /conversations", answers=replies.ConversationMade, makes=True)
    async def create(self, scope: Scope, p: Create) -> dict[str, Any]:
        """Begin a conversation; the same pair, or the same id for a member, gives the one that is there."""
        rules.check_create(p)
        others = [user for user in dict.fromkeys(p.members or []) if user != scope.external]
        found = await self._acting.found(scope, others, "members")
        conversation, act = self._creation(scope, p, found)
        try:
            verdict = await self._rooms.submit(scope, act)
        except Refused as refused:
            if refused.code != "id_conflict" or refused.field == "op":
                raise
            return await self._existing(scope, conversation, refused)
        return {"conversation": created_object(conversation, act.facts, verdict.at, verdict.seq), **flags(verdict)}

    @command("conversation.get", "GET /conversations/{c}", answers=replies.ConversationSeen)
    async def get(self, scope: Scope, p: Named) -> dict[str, Any]:
        """A conversation, and what you may do in it."""
        rules.check_conversation(p.c)
        view = await self._rooms.view(scope, p.c, View("about"))
        return about(p.c, view)

    @command("conversation.list", "GET /conversations", answers=replies.ConversationPage)
    async def list(self, scope: Scope, p: List) -> dict[str, Any]:
        """A user's conversations, latest activity first."""
        return await listing.page(self._documents, self._latest, self._reached, scope, p)

    @command("conversation.sync", "GET /conversations/{c}/sync", answers=replies.Synced)
    async def sync(self, scope: Scope, p: Sync) -> dict[str, Any]:
        """What happened after a seq, as it happened."""
        own = p.c == "me" and bool(scope.user)
        conversation = self._tenants.known(scope.tenant).personal(scope.user) if own else p.c
        if not own:
            rules.check_conversation(p.c)
        synced = await self._history.synced(scope, conversation, p.after, rules.page_size(p.limit, 200, 500), own=own)
        head, epoch, floor = synced.view["head"]["seq"], synced.view["epoch"], synced.view["head"]["floor"][0]
        if p.epoch not in (UNSET, epoch):
            return {"entries": [], "head": head, "epoch": epoch, "more": False, "gap": {"from": 1, "to": head}}
        gap = {"gap": {"from": p.after + 1, "to": floor}} if p.after < floor else {}
        return {"entries": synced.entries, "head": head, "epoch": epoch, "more": synced.more, **gap}

    @command("conversation.update", "PATCH /conversations/{c}", answers=replies.ConversationMade, needs=("update",))
    async def update(self, scope: Scope, p: Update) -> dict[str, Any]:
        """Change what is told of a conversation; null clears."""
        rules.check_conversation(p.c)
        rules.check_custom(p.custom)
        told = {name: getattr(p, name) for name in ABOUT if getattr(p, name) is not UNSET}
        verdict = await self._rooms.submit(scope, self._acting.act(scope, p, "conversation.updated", {"about": told}, {}))
        return {"conversation": await self._after(scope, p.c, told, verdict), **flags(verdict)}

    @command("conversation.freeze", "POST /conversations/{c}/freeze", answers=replies.Done, needs=("freeze",))
    def freeze(self, scope: Scope, p: Freeze) -> Asked:
        """Stop sending, editing and reacting, for everybody; or let them go on."""
        rules.check_conversation(p.c)
        return Asked(self._acting.act(scope, p, "conversation.frozen", {"frozen": p.frozen}, {}), seq_of)

    @command("conversation.delete", "DELETE /conversations/{c}", answers=replies.Done, needs=("delete",))
    def delete(self, scope: Scope, p: Whole) -> Asked:
        """End a conversation, for everybody. Its id is not used again."""
        rules.check_conversation(p.c)
        return Asked(self._acting.act(scope, p, "conversation.deleted", {}, {}), seq_of)

    def _creation(self, scope: Scope, p: Create, others: dict[str, str]) -> tuple[str, Act]:
        tenant = self._tenants.known(scope.tenant)
        names = {**({scope.external: scope.user} if scope.user else {}), **others}
        op = self._acting.op(p.op)
        if p.type == "direct":
            rules.check_pair([user for user in names if user != scope.external] if scope.user else list(names)[1:])
            conversation, role = tenant.direct(*names.values()), "owner"
        else:
            conversation, role = p.id or tenant.derived("conversation", show_act(op)), "member"
        members = [(user, "owner" if not place else role) for place, user in enumerate(names.values())]
        told = {name: getattr(p, name) for name in ABOUT if getattr(p, name) is not UNSET}
        facts = {"type": p.type, "access": p.access or "private", "members": members, "about": told, "by": scope.external}
        digest = tenant.digest("conversation.created", scope.user, said(p))
        body = {"members": list(names), **by(scope)}
        return conversation, Act(conversation, "conversation.created", op, digest, facts, body, scope.user, scope.external)

    async def _existing(self, scope: Scope, conversation: str, refused: Refused) -> dict[str, Any]:
        try:
            return {"conversation": await self._shown(scope, conversation), "unchanged": True}
        except Refused as hidden:
            if hidden.code in ("not_found", "not_a_member"):
                raise refused from hidden
            raise

    async def _shown(self, scope: Scope, conversation: str, floor: int = 0) -> dict[str, Any]:
        view = await self._rooms.view(scope, conversation, View("about", floor=floor))
        return conversation_object(conversation, view["head"])

    async def _after(self, scope: Scope, conversation: str, told: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
        """The conversation after an update. To whoever may not read it any more: as far as they knew it then."""
        try:
            return await self._shown(scope, conversation, verdict.seq)
        except Refused as refused:
            if refused.retryable:
                raise
        view = await self._rooms.view(Scope(scope.tenant), conversation, View("about", own=True))
        known = {name: value for name, value in told.items() if value is not None}
        return conversation_object(conversation, {**view["head"], "about": known, "updated": verdict.at, "seq": verdict.seq})


def about(conversation: str, view: dict[str, Any]) -> dict[str, Any]:
    """The conversation with one's role and capabilities, as `conversation.get` and `.watch` answer."""
    role = {"role": view["role"]} if view["role"] else {}
    return {"conversation": conversation_object(conversation, view["head"]), **role, "capabilities": view["capabilities"]}
