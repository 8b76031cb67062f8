"""`caas tree`: asks every live worker of a node for its tree over the links, and prints it."""

import os
from pathlib import Path
from typing import Any

import trio
from rich.console import Console
from rich.tree import Tree

from protocol.errors import Refused
from transport.link import Links

_ME = "tree-"


class _Listener:
    """We ask; nobody asks us."""

    def asked(self, worker: str, message: object, answer: Any) -> None:
        answer(None, Refused("unknown_command"))

    def told(self, worker: str, message: object) -> None:
        """Not for us."""

    def dropped(self, worker: str) -> None:
        """We shall hear by the answer."""


def show_trees(data: Path) -> int:
    """Print the trees; the exit code: 1 when no worker answers."""
    folder = data / "run"
    workers = sorted(path.stem for path in folder.glob("*.sock") if not path.stem.startswith(_ME)) if folder.exists() else []
    me = f"{_ME}{os.getpid()}"
    try:
        return trio.run(_show, folder, me, workers)
    finally:
        (folder / f"{me}.sock").unlink(missing_ok=True)


async def _show(folder: Path, me: str, workers: list[str]) -> int:
    console = Console()
    shown = 0
    links = Links(folder, me, _Listener())
    async with trio.open_nursery() as nursery:
        await nursery.start(links.run)
        links.members(workers)
        with trio.move_on_after(2):
            await links.wait_linked(workers)
        for worker in sorted(links.linked()):
            try:
                tree = await links.ask(worker, ["tree"], 5)
            except Refused as refused:
                console.print(f"{worker}: {refused.message}")
                continue
            console.print(_drawn(tree, Tree(f"[bold]{worker}[/]")))
            shown += 1
        nursery.cancel_scope.cancel()
    if not shown:
        console.print(f"No worker answers in {folder}: is `caas serve` or `caas dev` running with this data folder?")
    return 0 if shown else 1


def _drawn(node: list[Any], into: Tree) -> Tree:
    name, kind, state, depth, processed, restarts, detail, children = node
    words = [f"[bold]{name}[/] [dim]{kind}[/] {state}", f"mailbox {depth}", f"handled {processed}"]
    if restarts:
        words.append(f"[red]restarted {restarts}[/]")
    branch = into.add(", ".join(words) + (f" [dim]({detail})[/]" if detail else ""))
    for child in children:
        _drawn(child, branch)
    return into
