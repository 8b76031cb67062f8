"""What follows from members coming and going: each is told in their own personal conversation."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from protocol.ids import derived_act
from services.acts import Act
from services.heads import part_keys
from services.history import History
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.documents import Documents
from storage.ports.entry import Entry, decode_entry
from storage.ports.log import Stored

_KINDS = ("conversation.created", "conversation.deleted", "member.added", "member.joined", "member.removed", "member.left")
_LEFT = ("conversation.deleted", "member.removed", "member.left")
_LET_IN = ("conversation.created", "member.added")
INVITED = "invite.new"
_AT_ONCE = 100


class TellMembers:
    """Appends `conversation.joined` and `.left` to personal conversations, under ids made from their source; and `invite.new` to those whom
    somebody else let in."""

    name = "tell-members"

    def __init__(self, history: History, documents: Documents, tenants: Tenants,
                 submit: Callable[[Sequence[tuple[Scope, Act]]], Awaitable[None]]) -> None:
        self._history, self._documents, self._tenants, self._submit = history, documents, tenants, submit

    def wants(self, entry: Entry) -> bool:
        """Somebody came or went."""
        return entry.kind in _KINDS

    async def __call__(self, entries: list[Stored]) -> None:
        """Tell whoever is concerned. Raises Refused when somebody could not be told; a repeat tells nobody twice."""
        for stored in entries:
            entry = decode_entry(stored.row.data)
            if entry.kind in _KINDS:
                await self._told(entry, stored)

    async def _told(self, entry: Entry, stored: Stored) -> None:
        scope = Scope(entry.tenant)
        tenant = await self._tenants.ready(entry.tenant)
        [(_, _, body)] = await self._history.opened(scope, [stored.row])
        by = {"by": body["by"]} if body and "by" in body else {}
        kind = "conversation.left" if entry.kind in _LEFT else "conversation.joined"
        acts = []
        for user in await self._concerned(scope, entry):
            op = derived_act(tenant.key, entry.at, kind, entry.conversation, str(stored.row.seq), user)
            told = {"conversation": entry.conversation, **by}
            acts.append((scope, Act(tenant.personal(user), kind, op, b"", {}, told)))
            if entry.kind in _LET_IN and user != entry.actor:
                op = derived_act(tenant.key, entry.at, INVITED, entry.conversation, str(stored.row.seq), user)
                acts.append((scope, Act(tenant.personal(user), INVITED, op, b"", {}, told)))
        for begin in range(0, len(acts), _AT_ONCE):
            await self._submit(acts[begin : begin + _AT_ONCE])

    async def _concerned(self, scope: Scope, entry: Entry) -> Iterable[str]:
        """Who came or went, by internal id."""
        match entry.kind:
            case "conversation.created":
                return [user for user, _ in entry.facts["members"]]
            case "conversation.deleted":
                return await self._members(scope, entry.conversation)
            case "member.added":
                return list(entry.facts["users"])
            case "member.removed":
                return [entry.facts["user"]]
            case _:
                return [entry.actor]

    async def _members(self, scope: Scope, conversation: str) -> list[str]:
        """Of a deleted conversation, as it ended: nobody comes or goes after that, so its parts stay as they were."""
        head = await self._documents.get(scope, "heads", conversation)
        keys = part_keys(conversation, head.doc["joined"]) if head else []
        parts = await self._documents.get_many(scope, "parts", keys)
        return [user for key in keys if key in parts for user, *_ in parts[key].doc["members"]]
