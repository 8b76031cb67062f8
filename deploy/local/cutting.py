"""Cutting one process off, as a switch does that fails: whatever it says is dropped, so nothing gets through in either direction.

A member's sockets belong to a group of its own, whose number is its port's; nftables drops what that group sends. So everything else on the
machine is let be, and the process itself lives and knows nothing. Needs root and nft.
"""

import os
import subprocess

from deploy.local.packages import Missing, program

_WITHIN_S = 10


def can_cut() -> bool:
    """Whether this machine lets us."""
    try:
        return os.geteuid() == 0 and bool(program("nft", "nftables"))
    except Missing:
        return False


def cut(group: int) -> None:
    """Drop what the group's processes send, from now on. Raises Missing."""
    if os.geteuid() != 0:
        raise Missing("only root may cut off a process: run this as root")
    rules = (f"add table inet {_table(group)}\n"
             f"add chain inet {_table(group)} out {{ type filter hook output priority 0; }}\n"
             f"add rule inet {_table(group)} out meta skgid {group} drop\n")
    done = subprocess.run([program("nft", "nftables"), "-f", "-"], input=rules, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    if done.returncode:
        raise Missing(f"nft cannot cut here: {done.stderr.strip()}")


def heal(group: int) -> None:
    """Let it speak again; nothing if it was never cut."""
    if can_cut():
        subprocess.run([program("nft", "nftables"), "delete", "table", "inet", _table(group)], capture_output=True, timeout=_WITHIN_S, check=False)


def _table(group: int) -> str:
    return f"caas_cut_{group}"
