"""A check, what it stands on, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from caas.checks.machine import Machine
from caas.config import Config

Verdict = Literal["good", "doubtful", "bad", "skipped"]
"""doubtful: it works, and should be looked at; bad: it does not, or will not for long."""


class Found(NamedTuple):
    """What a check found; `mend` is the line that puts it right."""

    verdict: Verdict
    said: str
    mend: str = ""


@dataclass(frozen=True)
class Ground:
    """What checks stand on: the configuration, or why there is none, and the machine."""

    config: Config
    bad_config: str = ""
    machine: Machine = field(default_factory=Machine)
    thorough: bool = False
    """Whether checks may take as long as they need."""


class Check(NamedTuple):
    """One thing to look at."""

    name: str
    asks: str
    """What it asks, as the docs say it."""
    look: Callable[[Ground], Found]


def good(said: str) -> Found:
    """As it should be."""
    return Found("good", said)


def doubtful(said: str, mend: str) -> Found:
    """It works, and should be looked at."""
    return Found("doubtful", said, mend)


def bad(said: str, mend: str) -> Found:
    """It does not work, or will not for long."""
    return Found("bad", said, mend)


def skipped(said: str) -> Found:
    """There is nothing to look at."""
    return Found("skipped", said)
