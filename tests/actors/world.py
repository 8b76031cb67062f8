"""A world to test in: workers on one store in memory, linked without sockets, and clients that speak to them, on trio's virtual clock."""

from collections.abc import AsyncIterator, Callable, Container
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import trio

from actors.connections import Connections
from actors.house import Errands
from caas.assembly import Assembly
from caas.world import SystemIds
from protocol.errors import CODES, Refused
from protocol.ids import show_act
from services import refusals
from services.catalogue import KINDS
from services.deciding import RULES
from services.hello import OWN
from services.kinds import Kinds
from services.rates.model import Policy
from services.scope import Scope
from services.users.model import Profile
from sim.world import Authenticated, Links, Ring
from storage.memory.backend import open_memory
from storage.memory.store import Store
from supervisor import open_supervisor
from tests.fitting import misfit_frame
from tests.worlds import T0, Seeded, TrioClock

TENANT = "dev"
_pack, _unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


class SimWorld:
    """Time, chance and ids of a simulated world."""

    def __init__(self, seed: int) -> None:
        self.clock, self.rng = TrioClock(), Seeded(seed)
        self.ids = SystemIds(self.clock, self.rng)


class SimLinks(Links):
    """As in the simulated world; but workers of another node cannot be reached, and one that starts or leaves still can be."""

    def _reach(self, worker: str) -> "Worker | None":
        other = None if {worker, self._me} & self._world.cut_off else self._world.workers.get(worker)
        return other if other is not None and other.node == node_of(self._me) else None


def node_of(worker: str) -> str:
    """Workers are called `w1`, where there is one node, or `n1-w1`."""
    return worker.rpartition("-")[0]


class Worker:
    """One worker of the world."""

    def __init__(self, name: str, world: "World", kinds: Kinds = KINDS, knows: int = RULES) -> None:
        self.kinds, self.knows = kinds, knows
        self.name, self.node, self.world = name, node_of(name), world
        self.assembly: Assembly
        self.connections: Connections
        self.scope: trio.CancelScope

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Live until crashed."""
        world = self.world
        with trio.CancelScope() as self.scope:
            async with open_memory(world.store) as backend, trio.open_nursery() as nursery, open_supervisor(name=self.name) as tree:
                assembly = self.assembly = Assembly(
                    me=self.name, boot=world.boots, backend=backend, world=world.sim, links=SimLinks(self.name, world), tree=tree,
                    errands=Errands(nursery), master=b"m" * 32, frame=lambda payload, text: payload, policy=world.policy, node=self.node,
                    kinds=self.kinds, knows=self.knows)
                assembly.agreement.every = 1
                self.connections = Connections(assembly.desk(self.authenticate), tree, self.name)
                for task in (assembly.reader.run, assembly.reader.look, assembly.storer.run, assembly.deadlines.run, assembly.alarms.run,
                             self.connections.beat, *((assembly.living.run, assembly.elsewhere.run, assembly.ruling.run) if self.node else ())):
                    nursery.start_soon(task)
                for follower in assembly.followers:
                    nursery.start_soon(follower.run)
                task_status.started()
                await trio.sleep_forever()

    def asked(self, worker: str, message: Any, answer: Callable[[object, Exception | None], None]) -> None:
        """A sibling asks something."""
        self.assembly.asked(worker, message, answer)

    async def authenticate(self, token: str) -> Authenticated:
        users = await self.assembly.users.of_external(Scope(TENANT), [token])
        if token not in users:
            raise Refused("token_invalid")
        return Authenticated(Scope(TENANT, users[token], token, f"s-{token}"), T0 * 2)


class World:
    """Workers on one store."""

    def __init__(self, seed: int = 1, store: Store | None = None, policy: Policy | None = None) -> None:
        self.sim, self.store, self.policy = SimWorld(seed), store or Store(8), policy
        self.store.stores = self._stores
        self.workers: dict[str, Worker] = {}
        self.boots = 0
        self.internal: dict[str, str] = {}
        """Users' internal ids."""
        self.cut_off: set[str] = set()
        """Workers that live and cannot be reached by the others."""
        self.nursery: trio.Nursery

    async def start(self, name: str, kinds: Kinds = KINDS, knows: int = RULES) -> Worker:
        """A worker; of another program, if it knows other kinds, or by more rules."""
        self.boots += 1
        worker = Worker(name, self, kinds, knows)
        await self.nursery.start(worker.run)
        self.workers[name] = worker
        await self.reassign()
        return worker

    async def crash(self, name: str) -> None:
        """It is gone from one moment to the next; the others take over."""
        self.workers.pop(name).scope.cancel()
        await trio.sleep(0.5)
        for worker in self.of_node(node_of(name)):
            worker.assembly.dropped(name)
        await self.reassign()

    async def leave(self, name: str) -> None:
        """It is told to stop: its clients are sent away, what it holds is appended, what is known is stored."""
        worker = self.workers.pop(name)
        worker.connections.revoke(lambda scope: True, "going_away")
        await worker.assembly.router.unlisten_all()
        with trio.move_on_after(5):
            await worker.assembly.storer.finish()
        worker.scope.cancel()
        await trio.sleep(0.1)
        for other in self.of_node(node_of(name)):
            other.assembly.dropped(name)
        await self.reassign()

    def cut(self, name: str) -> None:
        """The links to a worker break, until `mend`."""
        self.cut_off.add(name)
        for other in self.workers.keys() - {name}:
            self.workers[other].assembly.dropped(name)
            self.workers[name].assembly.dropped(other)

    def mend(self) -> None:
        """All links are whole again."""
        self.cut_off.clear()

    async def reassign(self) -> None:
        """Each node's partitions over its workers."""
        for worker in list(self.workers.values()):
            await worker.assembly.take_ring(Ring(tuple(sorted(one.name for one in self.of_node(worker.node)))))

    @property
    def nodes(self) -> list[str]:
        """Those that have a worker."""
        return sorted({worker.node for worker in self.workers.values()})

    def of_node(self, node: str) -> list[Worker]:
        """A node's workers."""
        return [worker for worker in self.workers.values() if worker.node == node]

    def _stores(self, log: object, partition: int) -> bool:
        """Each partition is stored by one node, as a consumer group would have it."""
        nodes = self.nodes
        return any(worker.node == nodes[partition // 2 % len(nodes)] for worker in self.workers.values() if worker.assembly.log is log)

    async def user(self, name: str) -> None:
        worker = next(iter(self.workers.values()))
        await worker.assembly.tenants.ready(TENANT)
        self.internal[name], _ = await worker.assembly.users.ensure(Scope(TENANT), Profile(external_id=name))


@asynccontextmanager
async def open_world(*workers: str, seed: int = 1, users: tuple[str, ...] = ("alice", "bob", "carol"),
                     store: Store | None = None, policy: Policy | None = None) -> AsyncIterator[World]:
    """A world with these workers and users; everything in it ends with it. Without a policy nothing is limited."""
    world = World(seed, store, policy)
    async with AsyncExitStack() as stack:
        world.nursery = await stack.enter_async_context(trio.open_nursery())
        for name in workers:
            await world.start(name)
        for user in users:
            await world.user(user)
        yield world
        world.nursery.cancel_scope.cancel()


class SimOutbox:
    """Takes everything at once."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.closed = False

    def send(self, payload: bytes, *, text: bool) -> None:
        self.send_frames(payload)

    def send_frames(self, wire: bytes) -> None:
        if not self.closed:
            self._client.took(_unpack(wire))

    def close(self, code: int, reason: str = "") -> None:
        if not self.closed:
            self.closed = True
            self._client.closed_with = code

    async def wait_drained(self) -> None:
        await trio.lowlevel.checkpoint()


class Client:
    """A client, from the wire's other side: it sends maps, and keeps what it got."""

    numbers = 0

    def __init__(self, worker: Worker) -> None:
        Client.numbers += 1
        self.id = Client.numbers
        self.subprotocol = "caas.v1"
        self.paused = False
        self.outbox = SimOutbox(self)
        self.worker, self.state = worker, None
        self.frames: list[Any] = []
        self.pushes: list[dict[str, Any]] = []
        self.replies: dict[int, dict[str, Any]] = {}
        self.closed_with: int | None = None
        self.misfits: list[str] = []
        self._said: dict[int, str] = {}
        self._i = 0
        self._news = trio.Event()
        self.state = worker.connections.opened(self)

    def admitted(self) -> None:
        """Known now."""

    def pause(self) -> None:
        """What is sent from now on waits in the network; here the tests alone send, and see that they should not."""
        self.paused = True

    def resume(self) -> None:
        """Read on."""
        self.paused = False

    def took(self, frame: Any) -> None:
        self.frames.append(frame)
        for one in frame if isinstance(frame, list) else [frame]:
            if misfit := misfit_frame(one, *self._described(self._said.pop(one.get("i", 0), ""))):
                self.misfits.append(misfit)
            if "t" in one:
                self.pushes.append(one)
            else:
                self.replies[one["i"]] = one
        self._news.set()
        self._news = trio.Event()

    def say(self, m: str, **p: Any) -> int:
        """Send a command; its number."""
        self._i += 1
        self._said[self._i] = m
        self.worker.connections.messages(self, [(2, _pack({"i": self._i, "m": m, "p": p}))])
        return self._i

    async def reply(self, i: int) -> dict[str, Any]:
        with trio.fail_after(40):
            while i not in self.replies:
                await self._news.wait()
        assert self.misfits == [], "the server says what is not described"
        return self.replies.pop(i)

    async def ask(self, m: str, **p: Any) -> dict[str, Any]:
        """Send a command and wait: `r`, or `e` under its own name."""
        answer = await self.reply(self.say(m, **p))
        return answer["r"] if "r" in answer else {"error": answer["e"]["code"], **answer["e"]}

    async def until(self, what: Callable[["Client"], bool]) -> None:
        with trio.fail_after(40):
            while not what(self):
                await self._news.wait()
        assert self.misfits == [], "the server says what is not described"

    def _described(self, m: str) -> tuple[type[msgspec.Struct] | None, Container[str]]:
        """What `protocol/` says of the answer to a command, and which codes it may be refused with."""
        if row := self.worker.assembly.table.get(m):
            return row.answers, (*refusals.of(row), "not_authenticated")
        own = OWN.get(m)
        return (own.answers, (*refusals.refusals(m, own.params), "not_authenticated")) if own else (None, CODES)

    def got(self, t: str, c: str = "") -> list[dict[str, Any]]:
        return [push for push in self.pushes if push["t"] == t and (not c or push.get("c") == c)]

    def drop(self) -> None:
        """The network is cut."""
        self.outbox.closed = True
        self.worker.connections.closed(self, 1006)


def new_id(world: World) -> str:
    """A message's or act's id."""
    return show_act(world.sim.ids.uuid7())
