"""From what somebody says to the act that their conversation's log will decide about: who is meant, under which id."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import UNSET

from protocol.errors import Refused
from protocol.world import Clock, Ids
from services.acts import Act, Verdict
from services.conversations import rules
from services.digests import said
from services.scope import Scope
from services.tenants import Tenants


class People(Protocol):
    """What is needed of users."""

    async def of_external(self, scope: Scope, users: Sequence[str]) -> dict[str, str]:
        """Internal ids of those that exist, by the company's."""
        ...

    async def of_internal(self, scope: Scope, users: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the wire shows of them, by internal id."""
        ...


class Acting:
    """Makes acts, for every service whose commands take `op`."""

    def __init__(self, people: People, tenants: Tenants, clock: Clock, ids: Ids) -> None:
        self._people, self._tenants, self._clock, self._ids = people, tenants, clock, ids

    async def found(self, scope: Scope, users: Sequence[str], field: str) -> dict[str, str]:
        """Internal ids of users, in the order given. Raises Refused for one that there is not."""
        found = await self._people.of_external(scope, users) if users else {}
        for user in users:
            if user not in found:
                raise Refused("not_found", f"There is no user `{user}`: create the user first.", field=field)
        return {user: found[user] for user in users}

    def op(self, op: Any) -> bytes:
        """The act's id: the one given, if it may be, or a new one."""
        return self._ids.uuid7() if op is UNSET else rules.checked_op(op, "op", self._clock.now_ms())

    def act(self, scope: Scope, p: Any, kind: str, facts: dict[str, Any], body: dict[str, Any], *, within: str = "") -> Act:
        """An act of the conversation that `p.c` names, or of `within`. `by` is told by itself."""
        digest = self._tenants.known(scope.tenant).digest(kind, scope.user, said(p))
        return Act(within or p.c, kind, self.op(p.op), digest, facts, {**body, **by(scope)}, scope.user, scope.external)


def by(scope: Scope) -> dict[str, str]:
    """Who acts, as pushes tell it: nothing where it is the application itself."""
    return {"by": scope.external} if scope.user else {}


def seq_of(verdict: Verdict) -> dict[str, Any]:
    """The usual answer of what changes a conversation."""
    return {"seq": verdict.seq, **flags(verdict)}


def flags(verdict: Verdict) -> dict[str, bool]:
    """Whether it was a repeat, or changed nothing."""
    return {name: True for name in ("duplicate", "unchanged") if getattr(verdict, name)}


def check_somebody(scope: Scope, does: str) -> None:
    """What only a user can do. Raises Refused for the application itself."""
    if scope.is_application:
        raise Refused("bad_request", f"Say who {does}: send `CAAS-User`, or a user's token.")
