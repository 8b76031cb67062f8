"""The verbs of presence: set and get. Watching belongs to a connection (actors/presences.py)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from msgspec import UNSET

from protocol import replies
from protocol.errors import Refused
from protocol.world import Clock, Ids
from services.acts import Act, Asked
from services.blocks.book import COLLECTION, block_key, closes
from services.commands import command
from services.conversations.acting import People, flags
from services.conversations.rules import check_users, checked_op
from services.digests import said
from services.presence.fold import CHOSEN
from services.presence.model import NAME, Choose, Of
from services.scope import Scope
from services.tenants import Tenants
from storage.ports.documents import Documents


class Lookout(Protocol):
    """Where it is known who is there."""

    async def look(self, scope: Scope, users: Mapping[str, str], barring: Collection[str]) -> list[dict[str, Any]]:
        """`{user, status, ...}` of each of these (internal ids by the company's), as the scope may see it: nothing of those who are
        barring. Does not fail: `unknown`."""
        ...


class Presence:
    """Whether users are there, and what they say of it."""

    def __init__(self, lookout: Lookout, people: People, documents: Documents, tenants: Tenants, clock: Clock, ids: Ids) -> None:
        self._lookout, self._people, self._documents = lookout, people, documents
        self._tenants, self._clock, self._ids = tenants, clock, ids

    @command("presence.set", "PUT /presence", answers=replies.PresenceSet)
    def set(self, scope: Scope, p: Choose) -> Asked:
        """Say how one is; it holds until one says something else."""
        if scope.is_application:
            raise Refused("forbidden", "The application itself is not somewhere: say who is, with `CAAS-User`.")
        tenant = self._tenants.known(scope.tenant)
        op = self._ids.uuid7() if p.op is UNSET else checked_op(p.op, "op", self._clock.now_ms())
        text = "" if p.text is UNSET else p.text
        value = {"status": p.status, **({"text": text} if text else {})}
        facts = {"status": p.status, "text": bool(text)}
        act = Act(tenant.personal(scope.user), CHOSEN, op, tenant.digest("presence.set", scope.user, said(p)), facts,
                  {"name": NAME, "value": value}, scope.user, scope.external)
        return Asked(act, lambda verdict: dict(flags(verdict)))

    @command("presence.get", "GET /presence", answers=replies.PresenceList)
    async def get(self, scope: Scope, p: Of) -> dict[str, Any]:
        """Whether users are there, now; `presence.watch` goes on telling."""
        users = await self.named(scope, p.users)
        return {"items": await self._lookout.look(scope, users, await self.barring(scope, users))}

    async def named(self, scope: Scope, users: Sequence[str]) -> dict[str, str]:
        """Internal ids by the company's, each once. Raises Refused for too many, and for one that is not known."""
        check_users(users, "users")
        found = await self._people.of_external(scope, list(dict.fromkeys(users)))
        for place, user in enumerate(users):
            if user not in found:
                raise Refused("not_found", f"There is no user `{user}`.", field=f"users.{place}")
        return found

    async def barring(self, scope: Scope, users: Mapping[str, str]) -> Collection[str]:
        """Those of the users (internal ids) who block the one who asks: to that one they are never there."""
        tenant = self._tenants.known(scope.tenant)
        keys = {block_key(tenant.direct(scope.user, user), user): user for user in users.values() if scope.user not in ("", user)}
        found = await self._documents.get_many(scope, COLLECTION, list(keys)) if keys else {}
        return {keys[key] for key, held in found.items() if closes(held.doc)}
