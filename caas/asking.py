"""Asking the live workers of a node over their links, from the command line."""

import contextlib
import os
from pathlib import Path
from typing import Any

import trio

from protocol.errors import Refused
from transport.link import Links

ME = "-ask"
"""Names of whoever asks begin so: they sort before every worker, and who sorts first dials."""
_LINK_WITHIN_S = 2.0


class _Listener:
    """We ask; nobody asks us."""

    def asked(self, worker: str, message: object, answer: Any) -> None:
        answer(None, Refused("unknown_command"))

    def told(self, worker: str, message: object) -> None:
        """Not for us."""

    def dropped(self, worker: str) -> None:
        """We shall hear by the answer."""


def sockets(folder: Path) -> list[str]:
    """Workers that have a socket in `run/`, alive or not."""
    return sorted(path.stem for path in folder.glob("*.sock") if not path.stem.startswith(ME)) if folder.is_dir() else []


def ask_workers(folder: Path, workers: list[str], message: list[Any], within_s: float = 5.0) -> dict[str, Any]:
    """What each worker answers; a Refused for one that did not. Those that cannot be reached are left out."""
    me = f"{ME}{os.getpid()}"
    try:
        return trio.run(_ask, folder, me, workers, message, within_s)
    finally:
        with contextlib.suppress(OSError):
            (folder / f"{me}.sock").unlink(missing_ok=True)


async def _ask(folder: Path, me: str, workers: list[str], message: list[Any], within_s: float) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    links = Links(folder, me, _Listener())

    async def ask(worker: str) -> None:
        try:
            answers[worker] = await links.ask(worker, message, within_s)
        except Refused as refused:
            answers[worker] = refused

    async with trio.open_nursery() as nursery:
        await nursery.start(links.run)
        links.members(workers)
        with trio.move_on_after(_LINK_WITHIN_S):
            await links.wait_linked(workers)
        async with trio.open_nursery() as asking:
            for worker in sorted(links.linked()):
                asking.start_soon(ask, worker)
        nursery.cancel_scope.cancel()
    return dict(sorted(answers.items()))
