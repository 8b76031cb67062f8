"""A small set-up of real services over documents in memory; time and chance are the test's."""

from dataclasses import dataclass, field

import pytest

from protocol.errors import Refused
from services.acts import Act, Verdict
from services.api_keys import ApiKeys
from services.applications import Applications
from services.scope import Scope
from services.sessions import Ending, Sessions
from services.tenants import Tenants
from services.token_keys import TokenKeys
from services.users import Users
from services.vault import Vault
from storage.memory.backend import open_memory
from storage.memory.store import Store
from storage.ports.documents import Documents
from tests.worlds import HandClock, Seeded

MASTER = bytes(range(32))


class NotedRooms:
    """Conversations that accept every act once, and keep them; or refuse, while told to."""

    def __init__(self) -> None:
        self.acts: dict[bytes, tuple[Scope, Act]] = {}
        self.asked = 0
        self.refusing = ""

    async def submit(self, scope: Scope, act: Act) -> Verdict:
        self.asked += 1
        if self.refusing:
            raise Refused(self.refusing)
        duplicate = act.op in self.acts
        self.acts.setdefault(act.op, (scope, act))
        return Verdict(len(self.acts), duplicate=duplicate)

    async def view(self, scope, conversation, ask):
        raise Refused("not_found")

    @property
    def said(self) -> list[Act]:
        return [act for _, act in self.acts.values()]


@dataclass
class Worker:
    """One worker's services. Workers of one set-up share documents, rooms, the clock, and what was announced."""

    documents: Documents
    rooms: NotedRooms
    clock: HandClock
    announced: list[Ending] = field(default_factory=list)
    seed: int = 1
    dev: bool = False

    def __post_init__(self) -> None:
        rng = self.rng = Seeded(self.seed)
        self.vault = Vault(self.documents, rng, MASTER)
        self.tenants = Tenants(self.vault.hash_key)
        self.applications = Applications(self.documents, self.clock, rng)
        self.api_keys = ApiKeys(self.documents, self.clock, rng, dev=self.dev)
        self.users = Users(self.documents, self.rooms, self.tenants, self.clock, rng)
        self.token_keys = TokenKeys(self.documents, self.clock, rng)
        self.token_keys.deleted.append(lambda application: self.announce(Ending(application, "revoked", look=True)))
        self.sessions = Sessions(self.documents, self.users, self.api_keys, self.token_keys, self.vault, self.tenants, self.clock, rng, self.announce)

    def announce(self, ending: Ending) -> None:
        self.announced.append(ending)
        self.sessions.gate.ended(ending)

    @property
    def ended(self) -> list[tuple[str, list[str], str]]:
        """Sessions that were ended."""
        return [(ending.tenant, list(ending.sessions), ending.reason) for ending in self.announced if ending.sessions]

    def sibling(self, seed: int = 2) -> "Worker":
        """Another worker, or a later life, of the same set-up."""
        return Worker(self.documents, self.rooms, self.clock, self.announced, seed, self.dev)


@pytest.fixture
async def documents():
    async with open_memory(Store()) as backend:
        yield backend.documents


@pytest.fixture
def worker(documents) -> Worker:
    return Worker(documents, NotedRooms(), HandClock())


@pytest.fixture
def dev_worker(documents) -> Worker:
    return Worker(documents, NotedRooms(), HandClock(), dev=True)
