"""A worker's parts, put together: the same for the real program and for a simulated world. No sockets, no files, no clock of its own."""

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from actors.across import Across, signal_of
from actors.addressees import Addressees
from actors.agreement import Agreement
from actors.alarms import Alarms
from actors.audience import Gather, OneByOne
from actors.certainty import Certainty
from actors.deadlines import Deadlines
from actors.dispatch import Dispatch
from actors.drawing import Drawing
from actors.elsewhere import Elsewhere
from actors.ephemeral.catalogue import PARTS
from actors.fanout import Fanout, Frame
from actors.followers import Follower, Follows
from actors.greeting import Authenticated, Greeter
from actors.house import Errands, House
from actors.keys import Key, partition_of
from actors.lending import Lending, caller_of
from actors.living import Living
from actors.load import Load
from actors.messages import op_of
from actors.presences import Presences
from actors.reader import Agreed, FollowedLog, Reader, at_once
from actors.room import Room
from actors.router import Links, Ring, Router, answered, key_of, refused
from actors.ruling import Ruling
from actors.spreading import Spreader
from actors.standing import Desk
from actors.storing import Storer
from actors.tails import Tails
from actors.tenant import Enter, Leave, TenantActor, TenantMessage
from protocol.errors import Refused
from protocol.world import Clock, Ids, Rng
from services.blocks.service import Blocks
from services.catalogue import KINDS
from services.commands import gather
from services.conversations.acting import Acting
from services.conversations.follow import TellMembers
from services.conversations.membership import Membership
from services.conversations.service import Conversations
from services.deciding import RULES
from services.history import History
from services.kinds import Kinds, Touched, parts_of
from services.lately import Lately
from services.messages.changing import Changing
from services.messages.current import Current
from services.messages.latest import Latest
from services.messages.service import Messages
from services.presence.service import Presence
from services.rates.model import CONNECTS, Policy
from services.rates.service import Limits
from services.reactions.service import Reactions
from services.ready import Ready
from services.receipts.follow import TellMentions
from services.receipts.service import Receipts
from services.scope import Scope
from services.tenants import Tenants
from services.token_keys import TokenKeys
from services.typing.service import Typings
from services.users.service import Users
from services.vault.service import Vault
from storage.ports.bus import Bus
from storage.ports.counters import Counters
from storage.ports.documents import Documents
from storage.ports.log import Row
from supervisor import ActorStopped, Directory, MailboxFull, Supervisor


class Backend(Protocol):
    """The ports of one backend."""

    @property
    def log(self) -> FollowedLog: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def counters(self) -> Counters: ...
    @property
    def bus(self) -> Bus: ...


class World(Protocol):
    """Time, chance and ids."""

    @property
    def clock(self) -> Clock: ...
    @property
    def rng(self) -> Rng: ...
    @property
    def ids(self) -> Ids: ...


class Assembly:
    """One worker: rooms and what they stand on, services, connections' desk. Whoever makes it runs its tasks (`caas/wiring.py`)."""

    def __init__(self, *, me: str, boot: int, backend: Backend, world: World, links: Links, tree: Supervisor, errands: Errands, master: bytes,
                 frame: Frame, crowd: Gather = OneByOne, policy: Policy | None = None, node: str = "", kinds: Kinds = KINDS,
                 knows: int = RULES) -> None:
        """Without a policy there are no limits of rates, nor of a user's connections. `node`: its name among several; empty where there is
        one. `me` is a name that no worker of any node has."""
        self.me, self.backend, self.world, self.errands, self._links = me, backend, world, errands, links
        log = self.log = backend.log
        self.across = Across(node, backend.bus)
        self.vault = Vault(backend.documents, world.rng, master)
        self.tenants = Tenants(self.vault.hash_key)
        parts = parts_of(kinds, knows)
        self.tails, self.deadlines, self.alarms = Tails(), Deadlines(), Alarms()
        self.storer = Storer(log, backend.documents, self.tails, parts, kinds)
        self.rooms: Directory[Any] = Directory(tree, "rooms", self._room, fingerprint=op_of)
        self.tenant_actors: Directory[TenantMessage] = Directory(tree, "tenants", self._tenant)
        self._policy = policy
        self._drawing = Drawing(policy, backend.counters, world.clock, errands) if policy is not None and node else None
        self.router = Router(me, self.rooms, links, errands, log.partitions)
        self.lending = Lending(me, policy, self.router, links, self.tenant_actors) if policy is not None else None
        self.load = Load()
        self.rates = self.lending.rates if self.lending is not None else None
        self.users = Users(backend.documents, self.router, self.tenants, world.clock, world.rng)
        self.token_keys = TokenKeys(backend.documents, world.clock, world.rng)
        self.lately = Lately(backend.documents, kinds)
        self.ready = Ready()
        self.vault.lost.append(self.ready.clear)
        self.history = History(self.router, log, self.lately, self.vault, kinds, self.users, self.ready)
        self.fanout = Fanout(self.router, self.history, errands, frame, self.ready, crowd)
        self.addressees = Addressees(frame)
        self.living = Living(f"{node}/{me}/{boot}", backend.counters, world.clock)
        self.agreement = Agreement(self.across)
        self.ruling = Ruling(knows, self.living if node else None, backend.counters, backend.documents, world.clock)
        self.elsewhere = Elsewhere(self.across, self.living, backend.counters, errands, world.clock, self.router.heard)
        self.presences = Presences(me, self.router, links, self.alarms, self.tenants, frame, self.elsewhere)
        self.house = House(worker=me, across=self.across, agreement=self.agreement, ruling=self.ruling, certainty=Certainty(log, self.tails),
                           log=log, documents=backend.documents,
                           counters=backend.counters, kinds=kinds, parts=parts,
                           vault=self.vault, clock=world.clock, rng=world.rng, errands=errands, boot=boot, tails=self.tails, storer=self.storer,
                           deadlines=self.deadlines, alarms=self.alarms, rooms=self.router, ephemeral=PARTS, presences=self.presences,
                           spread=Spreader(me, self.fanout, self.addressees, links.tell, lambda: self._workers, self.across))
        self.reader = Reader(log, self.tails, self.storer, self._deliver, knows)
        self._offer()
        self.followers = self._make_followers()
        self._workers: set[str] = set()
        self._moved: set[int] = set()
        self.storer.told.extend(self.followers)
        self._cross()

    def _offer(self) -> None:
        """What people can do: the services, and the table of their commands."""
        backend, world, log = self.backend, self.world, self.log
        acting = Acting(self.users, self.tenants, world.clock, world.ids)
        self.receipts = Receipts(self.router, backend.documents, log, self.users, self.tenants, world.clock)
        current = Current(self.router, self.history, self.users, self.tenants)
        latest = Latest(backend.documents, self.history, current, self.users, self.tenants)
        self.conversations = Conversations(self.router, self.history, backend.documents, self.receipts, latest, acting, self.tenants)
        self.messages = Messages(self.history, current, self.users, self.tenants, world.clock)
        self.presence = Presence(self.presences, self.users, backend.documents, self.tenants, world.clock, world.ids)
        self.table = gather((
            self.conversations,
            Membership(self.router, self.users, self.receipts, acting),
            self.messages,
            Changing(current, self.users, self.tenants, world.clock, world.ids),
            Reactions(self.router, current, self.tenants, world.clock, world.ids),
            self.users,
            self.token_keys,
            Blocks(self.router, backend.documents, self.lately, self.users, acting, self.tenants),
            Typings(self.router),
            self.presence,
            Limits(self.lending),
            self.receipts,
        ))
        self.dispatch = Dispatch(self.table, self.router, self.tenants, self.load)

    def desk(self, authenticate: Callable[[str], Awaitable[Authenticated]]) -> Desk:
        """What connections share."""
        log, router = self.log, self.router
        greeter = Greeter(authenticate=authenticate, user=self._shown, enter=self._enter, leave=self._leave, rooms=router, fanout=self.fanout,
                          history=self.history, receipts=self.receipts, errands=self.errands, tenants=self.tenants, clock=self.world.clock,
                          epoch=log.epoch)
        return Desk(table=self.table, router=router, rooms=router, fanout=self.fanout, history=self.history, errands=self.errands,
                    tenants=self.tenants, greeter=greeter, addressees=self.addressees, presence=self.presence, presences=self.presences,
                    epoch=log.epoch, load=self.load, alarms=self.alarms, rates=self.rates)

    async def take_ring(self, ring: Ring, agreed: Agreed = at_once) -> None:
        """The node's workers are others now: follow what is ours, let go of what is not, listen where rooms have moved.

        `agreed` returns when the others have let go of what is ours now; it is waited for when we have let go of what is theirs. Raises
        StorageError, and what `agreed` raises; then it is to be called again until it has been done to the end.
        """
        changed = self._moved | self.router.take_ring(ring)
        self._moved = changed  # until all is done: storage may fail in the middle, and then this is called again
        for worker in self._workers - set(ring.members):
            self.router.forget(worker)
        self._workers = set(ring.members)
        self.presences.members(ring.members)

        async def let_go() -> None:
            for name in list(self.rooms.keys()):
                if self._partition(key_of(name)) not in self.tails:  # it would miss what is read of it elsewhere
                    await self.rooms.stop(name)
            await agreed()

        await self.reader.assign(self.router.owned(), let_go)
        self.fanout.refollow_where(lambda key: self._partition(key) in changed)
        self.presences.renew_where(lambda key: self._partition(key) in changed)
        self._moved = set()

    # What the links bring.

    def asked(self, worker: str, message: Any, answer: Callable[[object, Exception | None], None]) -> None:
        """A sibling asks for one of our rooms, for a tenant's bank that is here, or whether somebody is."""
        if message[0] == "where":
            answer(self.presences.where(Key(*message[1:])), None)
        elif message[0] not in ("borrow", "levels"):
            self.router.serve(message, answer)
        elif self.lending is not None:
            self.lending.serve(message, answer)
        else:
            answer(None, Refused("unavailable", "This worker was started without limits."))

    def told(self, worker: str, message: Any) -> None:
        """A sibling's room has a push for our listeners."""
        what, tenant, conversation, *rest = message
        if what == "erased":
            return self.vault.forget(tenant, conversation)
        key = Key(tenant, conversation)
        if what == "push":
            self.fanout.take(key, rest[0], rest[1], Touched(*rest[2:]))
        elif what == "emit":
            self.fanout.emit(key, *rest)
        elif what == "address":
            self.addressees.deliver(key, *rest)
        elif what == "presence":
            self.presences.told(key, *rest)
        elif what == "barred":
            self.presences.barred(key, *rest)
        elif what == "lags":
            self.fanout.lags(key, *rest)
        else:
            self.fanout.refollow(key)

    def dropped(self, worker: str) -> None:
        """The link to a sibling broke: what its rooms said may be lost, and what it told ours is void."""
        self.router.forget(worker)
        self.fanout.refollow_where(lambda key: self.router.owner(key) == worker)
        self.presences.renew_where(lambda key: self.router.owner(key) == worker)

    def _make_followers(self) -> list[Follower]:
        documents, tenants, submit = self.backend.documents, self.tenants, self.router.submit_all
        follows: list[Follows] = [TellMembers(self.history, documents, tenants, submit), TellMentions(documents, tenants, submit)]
        return [Follower(one, self.log, documents, lambda: self.storer.stores) for one in follows]

    def _cross(self) -> None:
        """What other nodes say, and what they are told besides what rooms say."""
        self.vault.erased.append(self._tell_erased)
        self.across.on("signal", lambda tenant, conversation, *signal: self.router.heard(Key(tenant, conversation), signal_of(*signal)))
        self.across.on("address", lambda tenant, conversation, push, users: self.addressees.deliver(Key(tenant, conversation), push, users, False))
        self.across.on("erased", self.vault.forget)

    def _deliver(self, key: Key, rows: list[Row]) -> None:
        """Where another node stores, entries of conversations that nobody here is in are passed over, undecoded."""
        self.router.deliver(key, rows, wake=self.storer.is_ours(rows[0].partition))

    def _tell_erased(self, tenant: str, author: str) -> None:
        for worker in self._workers - {self.me}:
            self._links.tell(worker, ["erased", tenant, author])
        self.across.tell("erased", tenant, author)

    async def _shown(self, scope: Scope) -> dict[str, Any]:
        return (await self.users.of_internal(scope, [scope.user])).get(scope.user, {"id": scope.external})

    async def _enter(self, scope: Scope) -> None:
        if self.rates is not None:
            await self.rates.of(scope.tenant).admitted(caller_of(scope), CONNECTS)
        elsewhere = await self.elsewhere.connections(scope, self.tenants.known(scope.tenant).personal(scope.user)) if self._policy else 0
        post = partial(self.tenant_actors.post_first, scope.tenant, Enter(scope.user, elsewhere))
        await answered(lambda reply: post(lambda value, error: reply(value, error and refused(error))))

    def _leave(self, scope: Scope) -> None:
        with contextlib.suppress(ActorStopped, MailboxFull):
            self.tenant_actors.send_nowait(scope.tenant, Leave(scope.user))

    def _tenant(self, tenant: str) -> TenantActor:
        return TenantActor(tenant, self.tenants, self.world.clock, self.router.say, self._policy, self._drawing)

    def _room(self, name: str) -> Room:
        key = key_of(name)
        return Room(self.house, key, self._partition(key))

    def _partition(self, key: Key) -> int:
        return partition_of(key, self.log.partitions)
