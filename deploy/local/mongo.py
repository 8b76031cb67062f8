"""MongoDB: always a replica set, for only that has transactions and change streams. One member for contracts, three for faults."""

import base64
import contextlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import trio
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.engine import Engine, Unwell, running
from deploy.local.member import Member
from deploy.local.packages import mongod
from deploy.local.ports import free_ports

REPLICA_SET = DATABASE = "caas"
_ASK_MS = 2_000
_LOOK_S = 0.1
_WITHIN_S = 60
_USERS_MS = 20_000
_ALREADY_INITIALIZED, _UNAUTHORIZED, _ALREADY_A_USER = 23, 13, 51003


class Mongo(Engine):
    """Members `mongo-1`, `mongo-2`... With a password, they let in only `admin` (everything) and `caas` (its own database)."""

    def __init__(self, folder: Path, members: int = 1, *, ports: list[int] | None = None, detached: bool = False,
                 options: Sequence[str] = (), password: str = "") -> None:
        program = str(mongod())
        self._folder, self._password = folder, password
        if password:
            options = [*options, "--keyFile", str(folder / "mongo.key")]
        super().__init__("mongo", [
            Member(f"mongo-{number}", _command(program, folder / f"mongo-{number}" / "data", port, options), port, folder / f"mongo-{number}",
                   detached=detached)
            for number, port in enumerate(ports or free_ports(members), 1)])

    @property
    def uri(self) -> str:
        """For MongoClient."""
        return self.uri_of("caas", DATABASE) if self._password else f"mongodb://{','.join(self.addresses)}/?replicaSet={REPLICA_SET}"

    def uri_of(self, user: str, database: str) -> str:
        """For a client who is that user, of that database."""
        return f"mongodb://{user}:{self._password}@{','.join(self.addresses)}/{database}?replicaSet={REPLICA_SET}"

    @property
    def primary(self) -> str:
        """The name of the member that is it now; empty while there is none. Blocks for 2 s at most a member."""
        for member in self.members.values():
            if member.alive and _hello(member).get("isWritablePrimary"):
                return member.name
        return ""

    async def prepare(self) -> None:
        """A folder for the data of each, and the key by which they know each other."""
        if self._password and not (key := self._folder / "mongo.key").exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            key.touch(mode=0o600)
            key.write_text(base64.b64encode(secrets.token_bytes(96)).decode())
        for member in self.members.values():
            (member.folder / "data").mkdir(parents=True, exist_ok=True)

    async def found(self) -> None:
        """Make them a replica set, the first time."""
        for member in self.members.values():
            with trio.move_on_after(_WITHIN_S) as waiting:
                while not await trio.to_thread.run_sync(_hello, member):
                    self._see_all_alive()
                    await trio.sleep(_LOOK_S)
            if waiting.cancelled_caught:
                raise Unwell(f"{member.name} does not answer")
        await trio.to_thread.run_sync(self._initiate)
        if self._password:
            await self.wait_well(_WITHIN_S)
            await trio.to_thread.run_sync(self._make_users)

    async def lacks(self) -> str:
        """A primary, or a secondary that has caught up."""
        return await trio.to_thread.run_sync(self._lacks)

    def _initiate(self) -> None:
        members = [{"_id": number, "host": address} for number, address in enumerate(self.addresses)]
        settings = {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500}
        first = next(iter(self.members.values()))
        try:
            with _client(first) as client:
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members, "settings": settings})
        except OperationFailure as error:
            if error.code not in (_ALREADY_INITIALIZED, _UNAUTHORIZED):  # with users it is no stranger's business any more
                raise

    def _make_users(self) -> None:
        """While there is no user, one may be made from the same machine; nobody else may do anything."""
        roles = {"admin": ["root"], "caas": [{"role": "dbOwner", "db": DATABASE}, {"role": "clusterMonitor", "db": "admin"}]}
        with _client(self.members[self.primary]) as client, contextlib.suppress(OperationFailure):
            client.admin.command("createUser", "admin", pwd=self._password, roles=roles["admin"])
        with MongoClient[dict[str, Any]](self.uri_of("admin", "admin"), timeoutMS=_USERS_MS) as client:
            try:
                client[DATABASE].command("createUser", "caas", pwd=self._password, roles=roles["caas"])
            except OperationFailure as error:
                if error.code != _ALREADY_A_USER:
                    raise

    def _lacks(self) -> str:
        for member in self.members.values():
            said = _hello(member)
            if not (said.get("isWritablePrimary") or said.get("secondary")):
                return f"{member.name} is neither primary nor secondary"
        return "" if self.primary else "there is no primary"


def mongo(folder: Path, members: int = 1, *, options: Sequence[str] = ()) -> AbstractAsyncContextManager[Mongo]:
    """A replica set in a folder, on free ports. `options` go to each mongod."""
    return running(Mongo(folder, members, options=options))


def _command(program: str, data: Path, port: int, options: Sequence[str]) -> list[str]:
    parameters = {
        "oplogNetworkTimeoutBufferSeconds": "1", "diagnosticDataCollectionEnabled": "false", "ttlMonitorSleepSecs": "1", "enableTestCommands": "1",
        "transactionLifetimeLimitSeconds": "10",
    }
    return [program, "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", REPLICA_SET, "--nounixsocket",
            "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64", "--quiet",
            *(part for name, value in parameters.items() for part in ("--setParameter", f"{name}={value}")), *options]


def _client(member: Member) -> MongoClient[dict[str, Any]]:
    """To this member alone, whatever it is."""
    return MongoClient(member.host, member.port, directConnection=True, timeoutMS=_ASK_MS, serverSelectionTimeoutMS=_ASK_MS)


def _hello(member: Member) -> dict[str, Any]:
    """What it says of itself; empty when it says nothing."""
    try:
        with _client(member) as client:
            return dict(client.admin.command("hello"))
    except PyMongoError:
        return {}
