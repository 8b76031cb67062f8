"""The schema registry: Apicurio, which speaks Confluent's API and wire format. What is registered is kept in a file."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio

from deploy.local.engine import Engine, running
from deploy.local.health import asked
from deploy.local.java import jvm
from deploy.local.member import Member
from deploy.local.packages import registry_jar
from deploy.local.ports import free_ports


class Registry(Engine):
    """The member `registry`."""

    def __init__(self, folder: Path, *, port: int | None = None, detached: bool = False) -> None:
        port = port or free_ports(1)[0]
        where = folder / "registry"
        said = {"quarkus.http.host": "127.0.0.1", "quarkus.http.port": str(port),
                "registry.datasource.url": f"jdbc:h2:file:{(where / 'schemas').absolute()}"}
        argv = jvm("-jar", str(registry_jar()), options=tuple(f"-D{name}={value}" for name, value in said.items()))
        super().__init__("registry", [Member("registry", argv, port, where, detached=detached)])

    @property
    def url(self) -> str:
        """Of Confluent's API."""
        return f"http://{self.addresses[0]}/apis/ccompat/v7"

    async def lacks(self) -> str:
        """A list of its subjects."""
        return await trio.to_thread.run_sync(self._lacks)

    def _lacks(self) -> str:
        said = asked(f"{self.url}/subjects")
        return f"it does not list its subjects: {said}" if said else ""


def registry(folder: Path) -> AbstractAsyncContextManager[Registry]:
    """One registry in a folder, on a free port."""
    return running(Registry(folder))
