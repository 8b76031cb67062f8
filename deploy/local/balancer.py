"""HAProxy before the nodes, with the configuration that is deployed elsewhere too (`deploy/haproxy.cfg`)."""

from collections.abc import Sequence
from pathlib import Path

import trio

from deploy.local.engine import Engine
from deploy.local.health import asked
from deploy.local.member import Member
from deploy.local.packages import HERE, program
from deploy.local.ports import free_ports

SOURCE = "127.7.7.7"
"""Where it speaks from to the nodes, so that they can tell its connections from those that come without it."""
_SERVER = '    server node-{number} "${{NODE_{number}}}" check\n'
_ASK_S = 2.0


class Balancer(Engine):
    """The member `haproxy`."""

    def __init__(self, folder: Path, nodes: Sequence[str], *, port: int | None = None, detached: bool = False) -> None:
        """`nodes`: `host:port` of each."""
        port = port or free_ports(1)[0]
        where = folder / "haproxy"
        self._config, self.admin = where / "haproxy.cfg", where / "admin"
        self._nodes = len(nodes)
        places = {f"NODE_{number}": node for number, node in enumerate(nodes, 1)}
        env = {"BIND": f"127.0.0.1:{port}", "SOURCE": SOURCE, "ADMIN": str(self.admin), **places}
        argv = [program("haproxy", "haproxy"), "-db", "-f", str(self._config)]
        super().__init__("balancer", [Member("haproxy", argv, port, where, env, detached=detached)])

    @property
    def url(self) -> str:
        """What clients are told."""
        return f"http://{self.addresses[0]}"

    async def prepare(self) -> None:
        """The configuration, with a line for each node."""
        self._config.parent.mkdir(parents=True, exist_ok=True)
        self._config.write_text(with_nodes((HERE.parent / "haproxy.cfg").read_text(), self._nodes))

    async def lacks(self) -> str:
        """Itself, then a node that it has found ready."""
        for what in ("/balancer", "/ready"):
            if said := await trio.to_thread.run_sync(asked, self.url + what):
                return f"{what}: {said}"
        return ""

    async def say(self, command: str) -> str:
        """A command to its admin socket, and what it answers: `set server nodes/node-1 state drain`."""
        with trio.fail_after(_ASK_S):
            async with await trio.open_unix_socket(str(self.admin)) as stream:
                await stream.send_all(command.encode() + b"\n")
                return b"".join([bytes(part) async for part in stream]).decode().strip()

    async def nodes(self) -> dict[str, dict[str, str]]:
        """What it knows of each node, by the names of its statistics: `status`, `scur` (connections now)..."""
        head, *lines = (await self.say("show stat nodes 4 -1")).lstrip("# ").splitlines()
        rows = [dict(zip(head.split(","), line.split(","), strict=False)) for line in lines]
        return {row["svname"]: row for row in rows}


def with_nodes(config: str, count: int) -> str:
    """The configuration with a line for each of so many nodes."""
    kept = "".join(line for line in config.splitlines(keepends=True) if not line.startswith("    server "))
    return kept + "".join(_SERVER.format(number=number) for number in range(1, count + 1))
