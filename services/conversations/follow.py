"""What follows from members coming and going: each is told in their own personal conversation."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from protocol.ids import derived_act
from services.acts import Act
from services.history import History
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.entry import Entry, decode_entry
from storage.ports.log import Stored

_KINDS = ("conversation.created", "member.added", "member.removed")


class TellMembers:
    """Appends `conversation.joined` and `.left` to personal conversations, under ids made from their source."""

    name = "tell-members"

    def __init__(self, history: History, tenants: Tenants, submit: Callable[[Sequence[tuple[Scope, Act]]], Awaitable[None]]) -> None:
        self._history, self._tenants, self._submit = history, tenants, submit

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
        kind = "conversation.left" if entry.kind == "member.removed" else "conversation.joined"
        acts = []
        for user in _concerned(entry):
            op = derived_act(tenant.key, entry.at, kind, entry.conversation, str(stored.row.seq), user)
            told = {"conversation": entry.conversation, **by}
            acts.append((scope, Act(tenant.personal(user), kind, op, b"", {}, told)))
        await self._submit(acts)


def _concerned(entry: Entry) -> Iterable[str]:
    facts = entry.facts
    if entry.kind == "conversation.created":
        return [user for user, _ in facts["members"]]
    return facts["users"] if entry.kind == "member.added" else [facts["user"]]
