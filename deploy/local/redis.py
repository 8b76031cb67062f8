"""Redis: one, for nothing in it is the only copy of anything."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio

from deploy.local.engine import Engine, running
from deploy.local.member import Member
from deploy.local.packages import program
from deploy.local.ports import free_ports

_ASK_S = 2.0


class Redis(Engine):
    """The member `redis`, with no file of its own: it forgets everything when it ends."""

    def __init__(self, folder: Path, *, port: int | None = None, detached: bool = False, options: Sequence[str] = ()) -> None:
        """`options` go to the server."""
        port = port or free_ports(1)[0]
        where = folder / "redis"
        argv = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(where), "--save", "",
                "--appendonly", "no", "--daemonize", "no", *options]
        super().__init__("redis", [Member("redis", argv, port, where, detached=detached)])

    @property
    def url(self) -> str:
        """For a client's `from_url`."""
        return f"redis://{self.addresses[0]}/0"

    async def lacks(self) -> str:
        """An answer to PING; one that wants to know first who asks is one too."""
        (member,) = self.members.values()
        try:
            with trio.fail_after(_ASK_S):
                async with await trio.open_tcp_stream(member.host, member.port) as stream:
                    await stream.send_all(b"PING\r\n")
                    said = bytes(await stream.receive_some(64))
        except (OSError, trio.TooSlowError):
            return "it does not answer"
        return "" if said.startswith((b"+PONG", b"-NOAUTH")) else f"it says {said!r}"


def redis(folder: Path) -> AbstractAsyncContextManager[Redis]:
    """One server in a folder, on a free port."""
    return running(Redis(folder))
