"""Where the tenants' banks are: at the tenant actor of the one worker that the ring names. Workers borrow from there.

A bank that moves with the ring begins full: what was used of the old one, a burst at most, is given once more.
"""

from collections.abc import Sequence
from typing import Any

import trio

from actors.keys import Key
from actors.rates import Answer, Rates
from actors.router import Links, Router
from actors.tenant import Borrow, Levels, TenantMessage
from protocol.errors import Refused
from services.rates.model import APPLICATION, TENANT, Policy
from services.scope import Scope
from supervisor import ActorStopped, Directory, MailboxFull, Quarantined

_BANK = "~rates"
"""With the tenant, the name by which the ring gives the bank a worker. No conversation is called so."""
WITHIN_S = 0.25
"""A bank that takes longer is stood in for: somebody may be waiting."""


class Lending:
    """Asks banks and serves the ones of this worker; `rates` is what everybody else asks."""

    def __init__(self, me: str, policy: Policy, router: Router, links: Links, tenants: Directory[TenantMessage]) -> None:
        self._me, self.policy, self._router, self._links, self._tenants = me, policy, router, links, tenants
        self.rates = Rates(policy, self._borrow)

    def serve(self, message: Sequence[Any], answer: Answer) -> None:
        """A sibling asks for a bank. It is served even by a worker that does not own it (any more): then by two rings at once, a moment."""
        what, tenant, *rest = message
        self._here(tenant, Borrow(*rest) if what == "borrow" else Levels(*rest), answer)

    async def levels(self, scope: Scope) -> tuple[list[int], list[int]]:
        """What the asking caller, and the tenant, have left of each class. Raises Refused `unavailable`."""
        caller, rates = caller_of(scope), self.rates.of(scope.tenant)
        told, found = trio.Event(), list[Any]()

        def answered(levels: Any, error: Exception | None) -> None:
            found.append(levels if error is None else None)
            told.set()

        self._post(scope.tenant, ["levels", scope.tenant, caller], Levels(caller), answered)
        await told.wait()
        if found[0] is None:
            raise Refused("unavailable")
        own, everybody = found[0]
        return _added(own, rates.held(caller)), _added(everybody, rates.held(TENANT))

    def _borrow(self, tenant: str, caller: str, rate: int, want: int, answer: Answer) -> None:
        self._post(tenant, ["borrow", tenant, caller, rate, want], Borrow(caller, rate, want), answer)

    def _post(self, tenant: str, carried: list[Any], message: TenantMessage, answer: Answer) -> None:
        owner = self._router.owner(Key(tenant, _BANK))
        if owner == self._me:
            self._here(tenant, message, answer)
        else:
            self._links.post(owner, carried, answer, WITHIN_S)

    def _here(self, tenant: str, message: TenantMessage, answer: Answer) -> None:
        try:
            self._tenants.post(tenant, message, answer)
        except (ActorStopped, MailboxFull, Quarantined):
            answer(None, Refused("unavailable"))


def caller_of(scope: Scope) -> str:
    """Whose allowance a scope draws on."""
    return APPLICATION if scope.by_key else scope.user


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [left + held for left, held in zip(one, other, strict=True)]
