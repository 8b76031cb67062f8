"""A worker, put together from the ground up and taken down in reverse. The one place where a backend is named.

The tree, in start order (`caas tree` prints it alive):

    rooms        virtual, woken by key                 link         the other workers of the node
    storing      what the rooms decided, written down  followers    what acts on stored entries
    reader       what the log gives back               connections  one for each socket; drained first
    deadlines    of what is on its way                 canary       says something to itself now and then, and listens
    alarms       of what lives in rooms unlogged       listener     last, so that nobody comes in before the house stands
"""

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from math import inf
from typing import Any

import trio

from actors.audience import Outlet
from actors.background import Background
from actors.connections import Connections
from actors.house import Errands
from actors.load import Spare
from caas.acceleration import current
from caas.assembly import Assembly, Backend, World
from caas.canary import Canary
from caas.config import Config
from caas.endings import Endings
from caas.handover import Handover, RingChangedMeanwhile
from caas.rebuilding import refuse_half_rebuilt
from caas.secrets import master_key
from protocol.ids import show_act
from services.api_keys.service import ApiKeys
from services.applications.service import Applications
from services.sessions import Ending, Sessions
from storage.embedded.backend import open_embedded
from storage.failing import Fatal
from storage.ports.documents import Documents
from storage.ports.errors import StorageError
from supervisor import Child, Restart, Strategy, Supervisor, open_supervisor
from supervisor.ring import Ring
from supervisor.workers import Membership
from transport.asgi import open_asgi
from transport.door import UNLIMITED, Door, DoorLimits
from transport.health import Metrics
from transport.link import Links
from transport.listener import Listener, ServeHTTP, open_sockets
from transport.origins import Origins
from transport.proxied import Proxies
from transport.rating import Gate
from transport.rest import make_app
from transport.websocket.connection import FRAMES_AT_ONCE
from transport.websocket.frames import BINARY, TEXT, frame, payloads
from transport.websocket.hub import Hub

_log = logging.getLogger("caas")

_LINK_WITHIN_S = 2.0
_AGAIN_S = 0.2


class Worker:
    """One worker process: its parts, and the tree that keeps them alive."""

    def __init__(self, config: Config, world: World, name: str, backend: Backend, tree: Supervisor, errands: trio.Nursery) -> None:
        self.config, self.world, self.name, self.backend, self.tree = config, world, name, backend, tree
        self.run_folder = config.data / "run"
        self.links = Links(self.run_folder, name, self)
        self.assembly = Assembly(me=name, boot=world.clock.now_ms(), backend=backend, world=world, links=self.links, tree=tree,
                                 errands=Errands(errands), master=master_key(config.data, world.rng), frame=_framed, crowd=self._crowd,
                                 policy=config.policy(), node=config.node)
        self.members: tuple[str, ...] = (name,)
        self.handover = Handover(name, self.links)
        self.endings = Endings(name, self.links, lambda: self.members, self.assembly.across)
        self._make_identity()
        self.connections = Connections(self.assembly.desk(self.sessions.authenticate_token), tree, name)
        self.endings.sessions, self.endings.connections = self.sessions, self.connections
        self.hub = Hub(self.connections, Door(DoorLimits() if config.limits else UNLIMITED), frames_at_once=FRAMES_AT_ONCE if config.limits else inf,
                       rest_s=self.assembly.load.rest_s)
        self.metrics = Metrics(config.data / "metrics", name, lambda: self.members)
        self.canary = self._make_canary() if config.canary_s else None
        measure(self.metrics, self)
        self.ready = trio.Event()
        self._ring_news = trio.Event()
        self.make_listener: Callable[[], Listener]
        self.listener: Listener | None = None

    def children(self) -> tuple[Child, ...]:
        """The tree below the directories of rooms and connections, in start order."""
        assembly = self.assembly
        return (
            Child("storing", lambda: Background(assembly.storer.run, assembly.storer.finish)),
            Child("reader", lambda: Background(assembly.reader.run)),
            Child("places", lambda: Background(assembly.reader.look)),
            Child("deadlines", lambda: Background(assembly.deadlines.run)),
            Child("alarms", lambda: Background(assembly.alarms.run)),
            *((Child("living", lambda: Background(assembly.living.run)), Child("elsewhere", lambda: Background(assembly.elsewhere.run)),
               Child("rules", lambda: Background(assembly.ruling.run)))
              if assembly.across else ()),
            Child("link", lambda: Background(self.links.run)),
            Child("ring", lambda: Background(self._follow_ring)),
            *(Child(f"follower {follower.name}", lambda follower=follower: Background(follower.run)) for follower in assembly.followers),  # type: ignore[misc]
            Child("load", lambda: Background(partial(assembly.load.run, Spare()))),
            Child("heads", lambda: Background(self.connections.beat)),
            Child("metrics", lambda: Background(self.metrics.run)),
            Child("sessions", lambda: Background(self.endings.run)),
            Child("websockets", lambda: Background(self.hub.run)),
            *((Child("canary", partial(Background, self.canary.run)),) if self.canary is not None else ()),
            Child("listener", lambda: Background(self._listen), Restart.ON_ERROR),
        )

    def is_ready(self) -> bool:
        """Whether it can serve: it has its share of the ring, and has read the log to the end it saw at start."""
        reader = self.assembly.reader
        return self.ready.is_set() and reader.caught_up and not reader.outdated.is_set()

    def take_members(self, members: Sequence[str]) -> None:
        """The live workers of the node are others now. The last one to leave keeps what is its own until it ends."""
        if not members:
            return
        self.members = tuple(members)
        self._ring_news.set()

    # What the links bring.

    def asked(self, worker: str, message: Any, answer: Callable[[object, Exception | None], None]) -> None:
        """A sibling's question: for one of our rooms, for our tree, or when we go by its ring."""
        if message[0] == "tree":
            answer(describe(self.tree), None)
        elif message[0] == "canary":
            answer(list(self.canary.song) if self.canary is not None else None, None)
        elif message[0] == "ring":
            self.handover.asked(worker, message[1:], answer)
        else:
            self.assembly.asked(worker, message, answer)

    def told(self, worker: str, message: Any) -> None:
        """A sibling's news: a push for our listeners, or sessions that have ended."""
        if message[0] == "ended":
            self.endings.told(message[1:])
        else:
            self.assembly.told(worker, message)

    def dropped(self, worker: str) -> None:
        """The link to a sibling broke."""
        self.assembly.dropped(worker)
        self.endings.missed()

    # Inside.

    def _crowd(self, outlets: list[Any]) -> Outlet:
        return self.hub.crowd(outlets)

    def _make_identity(self) -> None:
        documents, world, assembly = self.backend.documents, self.world, self.assembly
        self.applications = Applications(documents, world.clock, world.rng)
        self.api_keys = ApiKeys(documents, world.clock, world.rng, dev=self.config.dev)
        self.sessions = Sessions(documents, assembly.users, self.api_keys, assembly.token_keys, assembly.vault, assembly.tenants, world.clock,
                                 world.rng, self.endings.announce)
        assembly.token_keys.deleted.append(lambda application: self.endings.announce(Ending(application, "revoked", look=True)))

    def _make_canary(self) -> Canary:
        assembly = self.assembly
        timed = self.metrics.timing("caas_canary_seconds", "How long the canary's messages took, from the command on.", "until")
        return Canary(me=self.name, node=self.config.node, every_s=self.config.canary_s, members=lambda: self.members, dispatch=assembly.dispatch,
                      fanout=assembly.fanout, users=assembly.users, ids=self.world.ids, unframe=payloads, timed=timed)

    async def _listen(self) -> None:
        self.listener = self.make_listener()
        await self.listener.run()

    async def _follow_ring(self) -> None:
        while True:
            self._ring_news = trio.Event()
            members = self.members
            self.links.members(members)
            try:
                await self.assembly.take_ring(Ring(members), partial(self.handover.agreed, members, self._ring_news))
            except RingChangedMeanwhile:
                continue
            except StorageError as error:
                _log.warning("the ring cannot be taken yet: %r", error)
                await trio.sleep(_AGAIN_S)
                continue
            with trio.move_on_after(_LINK_WITHIN_S):
                await self.links.wait_linked(members)
            self.ready.set()
            if members == self.members:
                await self._ring_news.wait()


def open_backend(config: Config, world: World, *, serves: bool = True, on_fatal: Callable[[Fatal], None] = lambda _: None,
                 ) -> AbstractAsyncContextManager[Backend]:
    """The backend that the configuration names. Its drivers are imported where they are needed: they are an extra. The command line does
    not serve. `on_fatal` hears first that this machine's own disk has failed."""
    setup = show_act(world.ids.uuid7())
    if config.backend == "embedded":
        return open_embedded(config.data, partitions=config.partitions, setup=setup, on_fatal=on_fatal)
    from caas.cluster import open_configured

    return open_configured(config, world, setup, serves=serves)


@asynccontextmanager
async def open_documents(config: Config, world: World) -> AsyncIterator[Documents]:
    """The documents alone, for the command line: no node more, and no log followed."""
    if config.backend == "embedded":
        async with open_backend(config, world) as backend:
            yield backend.documents
        return
    from caas.cluster import open_configured_documents

    async with open_configured_documents(config) as documents:
        yield documents


@asynccontextmanager
async def open_worker(config: Config, world: World, name: str, on_fatal: Callable[[Fatal], None] = lambda _: None) -> AsyncIterator[Worker]:
    """A worker that serves. Leaving drains it: connections first, then its place in the ring, then the rest in reverse."""
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    (config.data / "run").mkdir(exist_ok=True)
    async with open_backend(config, world, on_fatal=on_fatal) as backend, trio.open_nursery() as errands:
        async with open_supervisor(name="worker", strategy=Strategy.REST) as tree:
            await refuse_half_rebuilt(backend.documents)
            worker = Worker(config, world, name, backend, tree, errands)
            await worker.assembly.vault.check()
            async with Membership(worker.run_folder, name, on_change=worker.take_members) as membership, open_asgi(_rest(worker)) as serve_http:
                worker.handover.look = membership.look
                worker.make_listener = partial(_listener, config, worker, serve_http)
                for child in worker.children():
                    await tree.start(child)
                await worker.ready.wait()
                try:
                    yield worker
                finally:
                    with trio.move_on_after(config.drain_s, shield=True):
                        await _drain(worker, membership)
        errands.cancel_scope.cancel()


def _listener(config: Config, worker: Worker, serve_http: ServeHTTP) -> Listener:
    origins = Origins(config.origins, of_this_machine=config.dev)
    return Listener(open_sockets(config.host, config.port), worker.hub, serve_http, door=worker.hub.door, tls=_tls(config), origins=origins,
                    proxies=Proxies(config.proxies))


async def _drain(worker: Worker, membership: Membership) -> None:
    if worker.listener is not None:
        worker.listener.stop_accepting()
    await worker.hub.drain()
    if worker.canary is not None:
        worker.canary.stop()
    await worker.assembly.router.unlisten_all()
    membership.leave()


def measure(metrics: Metrics, worker: "Worker") -> None:
    """What `/metrics` tells of a worker, summed over the node."""
    assembly = worker.assembly
    metrics.count("caas_deliveries_total", "Pushes handed to connections.", lambda: assembly.fanout.deliveries)
    metrics.count("caas_storing_steps_total", "Steps of storing written.", lambda: assembly.storer.steps)
    metrics.count("caas_rate_limited_total", "Commands and requests refused for their rate.", lambda: assembly.rates.refused if assembly.rates else 0)
    metrics.count("caas_overload_refused_total", "Commands refused because the worker had more to do than it could.", lambda: assembly.load.refused)
    metrics.level("caas_accelerated_workers", "Workers that run on compiled modules.", lambda: int(current().on))
    metrics.level("caas_connections", "WebSocket connections.", lambda: len(worker.connections))
    metrics.level("caas_rooms", "Rooms awake.", lambda: len(assembly.rooms))
    metrics.level("caas_audiences", "Conversations that somebody on the worker watches.", lambda: len(assembly.fanout))
    metrics.level("caas_users_here", "Users with a connection, counted on each worker.", lambda: len(assembly.presences.here))
    metrics.level("caas_presences_watched", "Users whose presence somebody on the worker watches.", lambda: len(assembly.presences.watched))
    metrics.level("caas_storing_rows", "Entries read and not yet stored.", assembly.storer.waiting)
    metrics.count("caas_folds_agreed_total", "Hashes of conversations that were the same on another node.", lambda: assembly.agreement.agreed)
    metrics.count("caas_folds_differed_total", "Hashes that were not: never, if all is well.", lambda: assembly.agreement.differed)
    metrics.count("caas_across_told_total", "Hints told to other nodes.", lambda: assembly.across.told)
    metrics.count("caas_across_heard_total", "Hints heard from other nodes.", lambda: assembly.across.heard)
    metrics.level("caas_partitions_stored", "Partitions that this node stores.", lambda: len(assembly.storer.stores))
    metrics.level("caas_log_away", "Workers whose log (Kafka) answers nobody: what is sent there is refused.",
                  lambda: getattr(assembly.log, "away", False))
    metrics.count("caas_bus_dropped_total", "Messages between nodes that were not told, or not heard, for too much waited.",
                  lambda: sum(getattr(worker.backend.bus, kind, 0) for kind in ("dropped", "unsaid")))
    metrics.level("caas_damaged_partitions", "Partitions stopped at a damaged record.", lambda: len(assembly.reader.damaged))
    if (canary := worker.canary) is not None:
        metrics.count("caas_canary_rounds_total", "Messages that the node wanted to say to itself.", lambda: canary.rounds)
        metrics.count("caas_canary_failed_total", "Of these, not acknowledged.", lambda: canary.failed)
        metrics.count("caas_canary_lost_total", "Of these, acknowledged, and not pushed in time or not read back: never, if all is well.",
                      lambda: canary.lost)
        metrics.count("caas_canary_disordered_total", "Pushes to the canary that came twice or out of order: never, if all is well.",
                      lambda: canary.disordered)


def describe(tree: Supervisor) -> list[Any]:
    """The live tree as plain lists: name, kind, state, depth, processed, restarts, detail, children."""

    def lists(node: Any) -> list[Any]:
        return [node.name, node.kind, node.state, node.depth, node.processed, node.restarts, node.detail, [lists(child) for child in node.children]]

    return lists(tree.tree())


def _framed(payload: bytes, text: bool) -> bytes:
    return frame(TEXT if text else BINARY, payload)


def _rest(worker: Worker) -> Any:
    rates = worker.assembly.rates
    return make_app(worker.assembly.dispatch, worker.sessions, ids=worker.world.ids, ready=worker.is_ready, metrics=worker.metrics.text,
                    noted=worker.metrics.requested, dev=worker.config.dev, gate=Gate(rates, worker.world.clock) if rates is not None else None)


def _tls(config: Config) -> ssl.SSLContext | None:
    if not config.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.tls_certificate, config.tls_key or None)
    return context
