"""What can be seen of a living tree: frozen, and cheap enough to look at while it works."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DirectoryStatistics", "Node", "SupervisorStatistics"]


@dataclass(frozen=True, slots=True)
class Node:
    """One line of `Supervisor.tree`: `depth` counts messages that wait, `restarts` new lives since its supervisor began."""

    name: str
    kind: str
    state: str
    depth: int = 0
    processed: int = 0
    restarts: int = 0
    children: tuple[Node, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """`alive` and `resting` count children now (the resting are alive too), `restarts` since it was made."""

    name: str
    alive: int
    resting: int
    restarts: int


@dataclass(frozen=True, slots=True)
class DirectoryStatistics:
    """`alive`, `resting` and `depth` are now; `woken`, `slept`, `died`, `refused` (by quarantine) since it was made; `quarantined` keys now."""

    kind: str
    alive: int
    resting: int
    ending: int
    depth: int
    processed: int
    woken: int
    slept: int
    died: int
    refused: int
    quarantined: int
