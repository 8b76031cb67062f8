"""What follows from mentions: whoever is mentioned is told in their own personal conversation."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from protocol.ids import act_time, derived_act, show_act
from services.acts import Act
from services.receipts.fold import MENTIONED
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.documents import Documents
from storage.ports.entry import Entry, decode_entry
from storage.ports.log import Stored

_SAID, _EDITED = ("message.new", "message.reply"), "message.edited"
_AT_ONCE = 100

Mention = tuple[Stored, Entry, str]
"""A stored entry, itself decoded, and a user it mentions (internal id)."""


class TellMentions:
    """Appends `mention.new` to personal conversations: not to oneself, and not to who is no member.

    The act's id is made of the message and the user, so an edit tells only those who were not mentioned before.
    """

    name = "tell-mentions"

    def __init__(self, documents: Documents, tenants: Tenants, submit: Callable[[Sequence[tuple[Scope, Act]]], Awaitable[None]]) -> None:
        self._documents, self._tenants, self._submit = documents, tenants, submit

    def wants(self, entry: Entry) -> bool:
        """Somebody is mentioned."""
        return "mentions" in entry.facts

    async def __call__(self, entries: list[Stored]) -> None:
        """Tell whoever is mentioned. Raises Refused when somebody could not be told; a repeat tells nobody twice."""
        mentions = list(_mentions(entries))
        for tenant in dict.fromkeys(entry.tenant for _, entry, _ in mentions):
            await self._told(tenant, [mention for mention in mentions if mention[1].tenant == tenant])

    async def _told(self, tenant: str, mentions: list[Mention]) -> None:
        scope, known = Scope(tenant), await self._tenants.ready(tenant)
        keys = [f"{entry.conversation}/{user}" for _, entry, user in mentions]
        members = await self._documents.get_many(scope, "memberships", keys)
        acts = []
        for (stored, entry, user), key in zip(mentions, keys, strict=True):
            if key in members:
                message = _message(entry)
                op = derived_act(known.key, act_time(message), MENTIONED, entry.conversation, message.hex(), user)
                facts = {"conversation": entry.conversation, "seq": stored.row.seq}
                told = {"conversation": entry.conversation, "message": show_act(message)}
                acts.append((scope, Act(known.personal(user), MENTIONED, op, b"", facts, told)))
        for begin in range(0, len(acts), _AT_ONCE):
            await self._submit(acts[begin : begin + _AT_ONCE])


def _mentions(entries: Iterable[Stored]) -> Iterable[Mention]:
    """Who is mentioned, as far as what mentions them has not been deleted since."""
    for stored in entries:
        entry = decode_entry(stored.row.data)
        if entry.body and (entry.kind in _SAID or entry.kind == _EDITED):
            yield from ((stored, entry, user) for user in entry.facts.get("mentions", ()) if user != entry.actor)


def _message(entry: Entry) -> bytes:
    edits: bytes = entry.facts["edits"] if entry.kind == _EDITED else entry.op
    return edits
