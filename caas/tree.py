"""`caas tree`: asks every live worker of a node for its tree over the links, and prints it."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.tree import Tree

from caas.asking import ask_workers, sockets
from protocol.errors import Refused


def show_trees(data: Path) -> int:
    """Print the trees; the exit code: 1 when no worker answers."""
    folder, console = data / "run", Console()
    workers = sockets(folder)
    answers = ask_workers(folder, workers, ["tree"]) if workers else {}
    for worker, tree in answers.items():
        console.print(f"{worker}: {tree.message}" if isinstance(tree, Refused) else _drawn(tree, Tree(f"[bold]{worker}[/]")))
    if all(isinstance(tree, Refused) for tree in answers.values()):
        console.print(f"No worker answers in {folder}: is `caas serve` or `caas dev` running with this data folder?")
        return 1
    return 0


def _drawn(node: list[Any], into: Tree) -> Tree:
    name, kind, state, depth, processed, restarts, detail, children = node
    words = [f"[bold]{name}[/] [dim]{kind}[/] {state}", f"mailbox {depth}", f"handled {processed}"]
    if restarts:
        words.append(f"[red]restarted {restarts}[/]")
    branch = into.add(", ".join(words) + (f" [dim]({detail})[/]" if detail else ""))
    for child in children:
        _drawn(child, branch)
    return into
