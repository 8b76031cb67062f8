"""Servers that send what a client says to everybody on the same path: the C loop, and the simplest that others' libraries allow."""

from collections.abc import Sequence
from pathlib import Path

from bench.generate import Dialect, Publish, Script, client_frame, publish, text_of, upgrade
from bench.servers.target import Child


class Plain(Child):
    """A room is a path. There is nothing to log in to, and no answer but one's own copy."""

    durability = "none; nothing checked"
    dialect = Dialect("own")
    host = "127.0.0.1"

    def __init__(self, name: str, command: Sequence[str], *, core: int | None, log: Path, folder: Path | None = None, **environment: str) -> None:
        super().__init__(command, core=core, log=log, folder=folder, **environment)
        self.name = name

    def room(self, name: str, members: Sequence[str]) -> None:
        """It is there when somebody comes."""

    def script(self, user: str, rooms: Sequence[str]) -> Script:
        """The upgrade is all."""
        return Script(upgrade(f"/{rooms[0] if rooms else user}"))

    def publish(self, room: str, size: int) -> Publish:
        """The text as it is, in a binary frame."""
        return publish(client_frame(text_of(size).encode()))
