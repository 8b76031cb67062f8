"""How a child is made, and when it gets another life: OTP's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from supervisor.actor import Actor

__all__ = ["Child", "Restart", "Strategy"]


class Restart(Enum):
    """When a child gets a new life: ALWAYS (permanent), ON_ERROR (transient), NEVER (temporary)."""

    ALWAYS = 1
    ON_ERROR = 2
    NEVER = 3


class Strategy(Enum):
    """Who restarts with it: ONE (itself), REST (and those started after it), ALL (and every sibling)."""

    ONE = 1
    REST = 2
    ALL = 3


@dataclass(frozen=True, slots=True)
class Child:
    """How to make one child, again and again: `make` returns a fresh actor, never a used one; `grace` is seconds for its `stopped`."""

    name: str
    make: Callable[[], Actor[Any]]
    restart: Restart = Restart.ALWAYS
    grace: float = 5.0
