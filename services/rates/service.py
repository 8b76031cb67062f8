"""`limits.get`: what a caller may send, and what it has left."""

from typing import Any, Protocol

from protocol import replies
from services.commands import command
from services.conversations.model import Params
from services.rates.model import CLASSES, Allowances, Policy
from services.scope import Scope


class Levels(Protocol):
    """What is needed of the banks. Implemented by actors/lending.py."""

    policy: Policy

    async def levels(self, scope: Scope) -> tuple[list[int], list[int]]:
        """Tokens left, by class: the caller's, the tenant's. Raises Refused `unavailable`."""
        ...


class GetLimits(Params, frozen=True):
    """Takes nothing."""


class Limits:
    """What may be sent. `levels` None: the rates are lifted."""

    def __init__(self, levels: Levels | None) -> None:
        self._levels = levels

    @command("limits.get", "GET /limits", answers=replies.LimitsSeen)
    async def get(self, scope: Scope, p: GetLimits) -> dict[str, Any]:
        """Say what the caller, and all of the application together, may send, and what is left of it."""
        if self._levels is None:
            return {"enforced": False, "caller": {}, "tenant": {}}
        own, everybody = await self._levels.levels(scope)
        policy = self._levels.policy
        return {"enforced": True, "caller": _shown(policy.application if scope.by_key else policy.user, own),
                "tenant": _shown(policy.tenant, everybody)}


def _shown(allowances: Allowances, left: list[int]) -> dict[str, Any]:
    shown = {}
    for name, (per_s, burst), tokens in zip(CLASSES, allowances, left, strict=True):
        remaining = min(burst, tokens)
        shown[name] = {"per_s": per_s, "burst": burst, "used": burst - remaining, "remaining": remaining}
    return shown
