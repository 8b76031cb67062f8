"""Workers on one store in memory, linked without sockets, and connections that can be cut in many ways; on trio's virtual clock."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec
import trio

from actors.connections import Connections
from actors.house import Errands
from caas.assembly import Assembly
from caas.handover import Handover, RingChangedMeanwhile
from caas.world import SystemIds
from protocol.errors import Refused
from services.scope import Scope
from services.users.model import Profile
from storage.memory.backend import MemoryBackend, open_memory
from storage.memory.store import Store
from supervisor import open_supervisor

_pack, _unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
T0 = 1_700_000_000_000
"""When the world's time begins, in ms since 1970."""
NOTICED_S = 0.5
"""After so long everybody knows who is gone."""


class Chance:
    """The port protocol.world.Rng, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def bytes(self, size: int) -> bytes:
        """For keys and nonces, were they worth anything."""
        return self._random.randbytes(size)

    def random(self) -> float:
        """For jitter."""
        return self._random.random()


class JumpingClock:
    """Wall time of one worker: that of the world, and by how much it is wrong."""

    def __init__(self) -> None:
        self.wrong_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return T0 + int(trio.current_time() * 1000) + self.wrong_ms


class Nature:
    """Time, chance and ids of one worker."""

    def __init__(self, seed: int) -> None:
        self.clock, self.rng = JumpingClock(), Chance(seed)
        self.ids = SystemIds(self.clock, self.rng)


class Authenticated(NamedTuple):
    """Who a connection is."""

    scope: Scope
    expires_at: int


class Ring(NamedTuple):
    """Partitions over workers, evenly."""

    members: tuple[str, ...]

    def owner(self, partition: int) -> str:
        """Whose it is."""
        return self.members[partition % len(self.members)]


class Links:
    """Links between workers: ordered, at once; a worker that is gone or cut off cannot be reached."""

    def __init__(self, me: str, world: "World") -> None:
        self._me, self._world = me, world

    def post(self, worker: str, message: object, reply: Callable[[object, Exception | None], None], timeout: float = 10.0) -> None:
        """See actors.router.Links."""
        other = self._reach(worker)
        if other is None:
            return reply(None, Refused("unavailable"))
        other.asked(self._me, _unpack(_pack(message)), lambda value, error: reply(None if error else _unpack(_pack(value)), error))

    async def ask(self, worker: str, message: Any, timeout: float) -> Any:
        """See transport.link.Links."""
        done, came = trio.Event(), list[tuple[object, Exception | None]]()

        def answered(value: object, error: Exception | None) -> None:
            came.append((value, error))
            done.set()

        self.post(worker, message, answered, timeout)
        with trio.move_on_after(timeout):
            await done.wait()
        value, error = came[0] if came else (None, Refused("timeout"))
        if error is not None:
            raise error
        return value

    def tell(self, worker: str, message: object) -> bool:
        """See actors.router.Links."""
        other = self._reach(worker)
        if other is not None:
            other.assembly.told(self._me, _unpack(_pack(message)))
        return other is not None

    def _reach(self, worker: str) -> "Worker | None":
        world = self._world
        return None if {worker, self._me} & world.cut_off or self._me not in world.workers else world.workers.get(worker)


class Worker:
    """One worker of the world."""

    def __init__(self, name: str, world: "World") -> None:
        self.name, self.world, self.gone = name, world, False
        self.nature = Nature(world.seed * 1_000 + world.boots)
        self.assembly: Assembly
        self.backend: MemoryBackend
        self.connections: Connections
        self.links = Links(name, world)
        self.handover = Handover(name, self.links)
        self.scope: trio.CancelScope

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Live until crashed."""
        with trio.CancelScope() as self.scope:
            async with open_memory(self.world.store) as self.backend, trio.open_nursery() as nursery, open_supervisor(name=self.name) as tree:
                assembly = self.assembly = Assembly(
                    me=self.name, boot=self.world.boots, backend=self.backend, world=self.nature, links=self.links, tree=tree,
                    errands=Errands(nursery), master=b"m" * 32, frame=lambda payload, text: payload)
                self.connections = Connections(assembly.desk(self.authenticate), tree, self.name)
                for task in (assembly.reader.run, assembly.reader.look, assembly.storer.run, assembly.deadlines.run, assembly.alarms.run,
                             self.connections.beat):
                    nursery.start_soon(task)
                for follower in assembly.followers:
                    nursery.start_soon(follower.run)
                task_status.started()
                await trio.sleep_forever()

    def asked(self, worker: str, message: Any, answer: Callable[[object, Exception | None], None]) -> None:
        """A sibling asks something, as the program takes it."""
        if message[0] == "ring":
            self.handover.asked(worker, message[1:], answer)
        else:
            self.assembly.asked(worker, message, answer)

    async def authenticate(self, token: str) -> Authenticated:
        """A token is `tenant:user`."""
        tenant, _, name = token.partition(":")
        users = await self.assembly.users.of_external(Scope(tenant), [name])
        if name not in users:
            raise Refused("token_invalid")
        return Authenticated(Scope(tenant, users[name], name, f"s-{token}"), T0 * 2)


class World:
    """Workers on one store."""

    def __init__(self, seed: int, store: Store) -> None:
        self.seed, self.store = seed, store
        self.workers: dict[str, Worker] = {}
        self.boots = self.numbers = 0
        self.cut_off: set[str] = set()
        """Workers that live and cannot be reached by the others."""
        self._turned, self._assigning = 0, trio.Lock()
        self._news = trio.Event()
        """Set when the ring that is being taken is of yesterday."""
        self.nursery: trio.Nursery

    async def start(self, name: str) -> None:
        """One more worker."""
        self.boots += 1
        worker = Worker(name, self)
        await self.nursery.start(worker.run)
        self.workers[name] = worker
        await self.reassign()

    def crash(self, name: str) -> None:
        """It is gone between two steps: nothing that it says from now on is heard. `bury` lets the others notice."""
        worker = self.workers.pop(name)
        worker.gone = True
        worker.backend.way.crash()
        worker.scope.cancel()

    async def bury(self, name: str) -> None:
        """The others notice that it is gone, and take over."""
        await trio.sleep(NOTICED_S)
        for worker in self.workers.values():
            worker.assembly.dropped(name)
        await self.reassign()

    def cut(self, name: str) -> None:
        """The links to a worker break, until `mend`."""
        self.cut_off.add(name)
        for other in self.workers.keys() - {name}:
            self.workers[other].assembly.dropped(name)
            self.workers[name].assembly.dropped(other)

    def mend(self) -> None:
        """All links are whole again, and all clocks right."""
        self.cut_off.clear()
        for worker in self.workers.values():
            worker.nature.clock.wrong_ms = 0

    async def reassign(self) -> None:
        """Partitions over those who live. Each takes the ring by itself, and who gains some waits for the others, as the program does it."""
        self._news.set()
        async with self._assigning:
            self._news = trio.Event()
            names = sorted(self.workers)
            turned = self._turned % max(1, len(names))
            ring = Ring((*names[turned:], *names[:turned]))
            async with trio.open_nursery() as nursery:
                for worker in self.workers.values():
                    nursery.start_soon(self._take, worker, ring)

    async def _take(self, worker: Worker, ring: Ring) -> None:
        """Again until storage lets it be done to the end, or there is another ring to take."""
        for _ in range(200):
            if worker.gone:
                return
            try:
                await worker.assembly.take_ring(ring, partial(worker.handover.agreed, ring.members, self._news))
                return
            except RingChangedMeanwhile:
                return
            except Exception:  # noqa: BLE001 - whatever storage brings: the program, too, tries again
                await trio.sleep(0.1)

    async def turn(self) -> None:
        """Every partition is another worker's now, and nobody has died."""
        self._turned += 1
        await self.reassign()

    async def user(self, tenant: str, name: str) -> None:
        """Make somebody."""
        assembly = next(iter(self.workers.values())).assembly
        await assembly.tenants.ready(tenant)
        await assembly.users.ensure(Scope(tenant), Profile(external_id=name))


class Wire:
    """A connection, from both ends: the outbox that the server sees, and what a client has of it."""

    subprotocol = "caas.v1"

    def __init__(self, worker: Worker, heard: Callable[[dict[str, Any]], None]) -> None:
        worker.world.numbers += 1
        self.id, self.worker, self.outbox = worker.world.numbers, worker, self
        self.deaf = self.mute = self.closed = self.paused = False
        """deaf: nothing comes any more, mute: nothing goes; neither end knows."""
        self.code = 0
        self.ended = trio.Event()
        self._heard = heard
        self.state: Any = None
        self.state = worker.connections.opened(self)

    def admitted(self) -> None:
        """Known now."""

    def pause(self) -> None:
        """The server reads no more for now; who sends here waits for answers, so nothing gathers."""
        self.paused = True

    def resume(self) -> None:
        """It reads on."""
        self.paused = False

    # The server's end.

    def send(self, payload: bytes, *, text: bool) -> None:
        """A frame goes out."""
        self.send_frames(payload)

    def send_frames(self, wire: bytes) -> None:
        """Frames go out."""
        if self.closed or self.deaf or self.worker.gone:
            return
        frame = _unpack(wire)
        for one in frame if isinstance(frame, list) else [frame]:
            self._heard(one)

    def close(self, code: int, reason: str = "") -> None:
        """The server ends it."""
        if not self.closed:
            self.closed, self.code = True, code
            self.ended.set()

    async def wait_drained(self) -> None:
        """Everything is out at once."""
        await trio.lowlevel.checkpoint()

    # The client's end.

    def say(self, i: int, m: str, p: dict[str, Any]) -> None:
        """Send a command."""
        if not (self.closed or self.mute or self.worker.gone):
            self.worker.connections.messages(self, [(2, _pack({"i": i, "m": m, "p": p}))])

    def drop(self) -> None:
        """The client is gone."""
        was, self.closed = self.closed, True
        self.ended.set()
        if not was and not self.worker.gone:
            self.worker.connections.closed(self, 1006)
