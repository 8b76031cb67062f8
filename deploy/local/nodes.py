"""CAAS itself as members of a cluster: each node is `caas serve` with a folder, a port and a name of its own, and the set-up's one key."""

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from deploy.local.engine import Engine
from deploy.local.health import asked
from deploy.local.member import Member
from deploy.local.ports import free_ports

_KEY_BYTES = 32


class Nodes(Engine):
    """Members `node-1`, `node-2`..."""

    def __init__(self, folder: Path, count: int, settings: Mapping[str, str], *, ports: Sequence[int] | None = None, detached: bool = False,
                 program: Sequence[str] = (sys.executable, "-m", "caas"), env: Mapping[str, str] | None = None) -> None:
        """`settings`: of the configuration, by name, the same for all. `program`: another version's, say."""
        self._folder = folder
        super().__init__("nodes", [
            Member(name, [*program, "serve"], port, folder / name, detached=detached,
                   env={**(env or {}), **{f"CAAS_{key.upper()}": value for key, value in {**settings, **_own(folder, name, port)}.items()}})
            for number, port in enumerate(ports or free_ports(count), 1) if (name := f"node-{number}")])

    async def prepare(self) -> None:
        """Every node's folder has the one master key."""
        key = self._folder / "master.key"
        if not key.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(_KEY_BYTES))
        for member in self.members.values():
            (member.folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (own := member.folder / "data" / "master.key").exists():
                os.link(key, own)

    async def lacks(self) -> str:
        """A node that does not say that it is ready."""
        for member in self.members.values():
            said = await trio.to_thread.run_sync(asked, f"http://{member.host}:{member.port}/ready")
            if said:
                return f"{member.name} is not ready: {said}"
        return ""


def _own(folder: Path, name: str, port: int) -> dict[str, str]:
    return {"node": name, "port": str(port), "data": str(folder / name / "data")}
