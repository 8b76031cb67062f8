"""A random walk over one conversation, with the product's own fold, tails, waking and early check.

Nodes follow one log. Appends are slow, lost and reordered; rooms sleep, wake and crash; clocks are wrong and jump; clients repeat ids
on any node, late and early, now and then with another body; two storing followers work at once, one of them a ghost, and write step
by step. Checked: no id is accepted twice, every acknowledgement agrees with the log, all folds agree.

Ten bugs can be planted, each a rule left out; each must be found (tests/actors/test_walk.py).
"""

import random
from typing import Any

from actors.keys import Key
from actors.tails import Tails
from actors.waking import Read, catch_up, reaches
from protocol.errors import Refused
from protocol.ids import act_time, make_uuid7
from services import deciding
from services.acts import Act
from services.checking import ANSWER, LOOK, check
from services.deciding import Decision, Fold, Outcome
from services.heads import head_of, restore
from services.kinds import Kind, parts_of
from storage.ports.entry import NOWHERE, Entry, Place, decode_entry, encode_entry
from storage.ports.log import Loaded, Row, StoredRow

KEY = Key("t", "c")
KINDS = {"say": Kind("say", lambda fold, said: Decision(counts=True), alone=False)}
PARTS = parts_of(KINDS)
BASE, STEP, AHEAD, TAIL_ROWS = 1_000_000, 10, 3, 12
WINDOW = (2, 6, 6 * STEP)
"""The window is made small, so that short walks forget."""

STALE, EARLY_HEAD, NO_LOOKUP, EARLY_LOOKUP, BACKWARD, PLACE_FIRST, HORIZON_OF_ENTRIES, ANY_ENTRY, NO_TAIL_BEGIN, CONFLICT_AS_DUPLICATE = range(1, 11)
FAR = Place(99, 0, 0)


class Planted(Fold):
    """The fold, with the bugs that live in it."""

    __slots__ = ("bug",)

    def __init__(self, bug: int) -> None:
        super().__init__(PARTS)
        self.bug = bug

    def apply(self, entry: Entry, place: Place) -> Outcome:
        if self.bug == STALE:
            entry = Entry(*(getattr(entry, name) if name != "checked" else self.seq for name in entry.__struct_fields__))
        outcome = super().apply(entry, place)
        if self.bug == CONFLICT_AS_DUPLICATE and outcome.what == "conflict":
            first = self.find(entry.op)
            assert first is not None
            return Outcome("duplicate", first.seq, first.n, first.at)
        return outcome

    def _forget(self) -> None:
        before, old = list(self.window), self.horizon
        super()._forget()
        gone = before[: len(before) - len(self.window)]
        if self.bug == HORIZON_OF_ENTRIES and gone:
            self.horizon = max(old, *(row.at for row in gone))


def copy_of(fold: Fold, bug: int) -> Fold:
    """A second fold, equal to the first."""
    twin = Planted(bug)
    for name in Fold.__slots__:
        value = getattr(fold, name)
        setattr(twin, name, value.copy() if hasattr(value, "copy") else value)
    return twin


class Node:
    """Follows the log from the stored place on; holds the room's fold while it is awake."""

    boots = 0

    def __init__(self, stored: Place, read: int) -> None:
        Node.boots += 1
        self.boot, self.counter = Node.boots, 0
        self.read = read  # rows of the log it has read
        self.tails = Tails()
        self.tails.begin(0, stored)
        self.fold: Fold | None = None
        self.early: Loaded | None = None
        self.skew = 0
        self.waiting: dict[Any, tuple[bytes, bytes]] = {}


class Follower:
    """Folds the log into storage, one write after the other."""

    def __init__(self, read: int, fold: Fold) -> None:
        self.read, self.fold = read, fold
        self.writes: list[tuple[Any, ...]] = []


class World:
    """Everything there is, and one step of it at a time."""

    def __init__(self, seed: int, bug: int) -> None:
        self.random, self.bug, self.now = random.Random(seed), bug, BASE
        self.log: list[Row] = []
        self.in_flight: list[bytes] = []
        self.nodes = [Node(NOWHERE, 0) for _ in range(3)]
        self.head: dict[str, Any] | None = None
        self.stored: dict[bytes, StoredRow] = {}
        self.stored_place = NOWHERE
        self.followers = [Follower(0, Planted(bug)) for _ in range(2)]
        self.made: list[bytes] = []
        self.acks: dict[tuple[bytes, bytes], int] = {}

    def step(self) -> None:
        rnd, node = self.random, self.random.choice(self.nodes)
        self.now += STEP * rnd.choice([0, 0, 0, 0, 1, 2])
        choice = rnd.random()
        if choice < 0.12:
            at = self.now + STEP * rnd.choice([0, 0, 0, -5, AHEAD - 1])
            self.made.append(make_uuid7(at, len(self.made).to_bytes(10, "big")))
            self.send(node, self.made[-1], b"a" * 16)
        elif choice < 0.30 and self.made:
            oldest = 0 if rnd.random() < 0.6 else max(0, len(self.made) - 4)
            self.send(node, self.made[rnd.randrange(oldest, len(self.made))], (b"a" if rnd.random() < 0.9 else b"b") * 16)
        elif choice < 0.50 and self.in_flight:
            self.land(self.in_flight.pop(rnd.randrange(len(self.in_flight)) if rnd.random() < 0.7 else 0))
        elif choice < 0.52 and self.in_flight:
            self.in_flight.pop(rnd.randrange(len(self.in_flight)))
        elif choice < 0.75:
            self.read(node)
        elif choice < 0.92:
            self.store(self.followers[0 if rnd.random() < 0.8 else 1])
        else:
            self.trouble(node, choice)

    def trouble(self, node: Node, choice: float) -> None:
        """Rooms fall asleep, nodes crash, clocks are wrong, a ghost follower begins anew."""
        if choice < 0.95:
            node.fold, node.waiting = None, {}
        elif choice < 0.97:
            self.nodes[self.nodes.index(node)] = Node(self.stored_place, self.stored_place.offset)
        elif choice < 0.985:
            node.skew = STEP * self.random.randint(-8, 8)
        else:
            self.followers[self.random.randrange(2)] = Follower(self.stored_place.offset, self.restored(self.loaded()))

    def land(self, data: bytes) -> None:
        self.log.append(Row(Place(1, len(self.log) + 1), 0, *KEY, data))

    def loaded(self) -> Loaded:
        """One consistent read: the stored place, then the head, then the window."""
        head = self.head
        first, last = (head["window"], head["seq"]) if head else (1, 0)
        window = sorted((row for row in self.stored.values() if first <= row.seq <= last), key=lambda row: row.seq)
        return Loaded(self.stored_place, head, (), window)

    def restored(self, loaded: Loaded) -> Fold:
        return copy_of(restore(PARTS, loaded), self.bug)

    def wake(self, node: Node) -> None:
        if self.bug == EARLY_HEAD and node.early is None:
            node.early = self.loaded()
            return
        loaded = self.loaded()
        if node.early is not None:
            loaded, node.early = node.early._replace(stored=loaded.stored), None
        read = Read(self.restored(loaded), loaded)
        if self.bug != NO_TAIL_BEGIN and not reaches(node.tails, 0, read):
            return
        fold = read.fold
        if self.bug == EARLY_HEAD:  # it believes that all up to the stored place is in what it read
            fold.place = max(fold.place, loaded.stored)
        catch_up(node.tails, 0, KEY, fold, lambda *_: None)
        node.fold = fold

    def send(self, node: Node, op: bytes, body: bytes) -> None:
        """A client's command reaches a node: wake, check, append."""
        if node.fold is None:
            self.wake(node)
        fold = node.fold
        at = self.now + node.skew
        if fold is None or (fold.find(op) is None and act_time(op) >= at + AHEAD * STEP):
            return
        stored = FAR if self.bug == EARLY_LOOKUP else self.stored_place
        looked_up = {op: False} if self.bug == NO_LOOKUP else {}
        act = Act(KEY.conversation, "say", op, body, {}, {})
        try:
            checked = check(fold, KINDS, act, (), stored, looked_up)
            if checked.what == LOOK:
                if (row := self.stored.get(op)) is not None:
                    if decode_entry(row.data).digest == body:
                        self.acknowledge(op, body, row.seq)
                    return
                checked = check(fold, KINDS, act, (), stored, {op: False})
        except Refused:
            return
        if checked.what == ANSWER and checked.verdict is not None:
            self.acknowledge(op, body, checked.verdict.seq)
            return
        self.append(node, fold, op, body, at)

    def append(self, node: Node, fold: Fold, op: bytes, body: bytes, at: int) -> None:
        if self.random.random() < 0.1:
            at -= STEP * self.random.randint(1, 6)  # the clock steps between check and stamp
        node.counter += 1
        mine = (str(node.boot), node.boot, node.counter)
        node.waiting[op if self.bug == ANY_ENTRY else mine] = (op, body)
        self.in_flight.append(encode_entry(Entry(1, "say", *KEY, "", op, fold.seq, at, mine, body, "", {})))

    def acknowledge(self, op: bytes, body: bytes, seq: int) -> None:
        assert self.acks.setdefault((op, body), seq) == seq, "two acknowledgements of one act"

    def read(self, node: Node) -> None:
        if node.read >= len(self.log):
            return
        row = self.log[node.read]
        node.read += 1
        node.tails.add(row, KEY)
        while len(node.tails._tails[0].rows) > TAIL_ROWS:
            node.tails._drop(node.tails._tails[0])  # the tail is bounded
        if self.random.random() < 0.2:
            node.tails.settle(0, min(self.stored_place, row.place))
        if node.fold is None or row.place <= node.fold.place:
            return
        entry = decode_entry(row.data)
        outcome = node.fold.apply(entry, row.place)
        if mine := node.waiting.pop(entry.op if self.bug == ANY_ENTRY else entry.append, None):
            if outcome.what == "stale":
                self.send(node, *mine)
            elif outcome.what != "conflict":
                self.acknowledge(*mine, outcome.seq)

    def store(self, follower: Follower) -> None:
        if follower.writes:
            return self.write(*follower.writes.pop(0))
        if follower.read >= len(self.log):
            return None
        row = self.log[follower.read]
        follower.read += 1
        place = ("place", row.place)
        if row.place <= follower.fold.place:
            follower.writes = [place]
            return None
        entry = decode_entry(row.data)
        outcome = follower.fold.apply(entry, row.place)
        head = ("head", head_of(follower.fold))
        ids = [("id", entry.op, StoredRow(outcome.seq, outcome.n, row.place, row.data))] if outcome.what == "ok" else []
        follower.writes = ids + ([place, head] if self.bug == PLACE_FIRST else [head, place])

    def write(self, kind: str, *what: Any) -> None:
        if kind == "id":
            assert self.stored.setdefault(what[0], what[1]).seq == what[1].seq, "an act was accepted twice"
        elif kind == "head":
            if self.head is None or what[0]["place"] > self.head["place"] or self.bug == BACKWARD:
                self.head = what[0]
        else:
            self.stored_place = max(self.stored_place, what[0])

    def settle(self) -> None:
        """Everything lands, everybody reads and stores to the end; then all must agree."""
        for data in self.in_flight:
            self.land(data)
        self.in_flight = []
        for follower in self.followers:
            while follower.writes or follower.read < len(self.log):
                self.store(follower)
        truth, accepted = Planted(self.bug), dict[bytes, tuple[int, bytes]]()
        for row in self.log:
            entry = decode_entry(row.data)
            outcome = truth.apply(entry, row.place)
            if outcome.what == "ok":
                assert entry.op not in accepted, "an act was accepted twice"
                accepted[entry.op] = (outcome.seq, entry.digest)
        for node in self.nodes:
            while node.read < len(self.log):
                self.read(node)
            if node.fold is not None:
                assert (node.fold.seq, list(node.fold.window)) == (truth.seq, list(truth.window)), "folds differ"
        for (op, body), seq in self.acks.items():
            assert accepted.get(op) == (seq, body), "an acknowledgement differs from the log"


def violation(seed: int, bug: int = 0, steps: int = 400) -> str | None:
    """Walk one seed; what was violated, or None."""
    world = World(seed, bug)
    try:
        for _ in range(steps):
            world.step()
        world.settle()
    except (AssertionError, KeyError) as what:
        return str(what) or "broken"
    return None


def with_small_window(monkeypatch: Any) -> None:
    """Make the rules' window small for a while."""
    for name, value in zip(("WINDOW_LEAST", "WINDOW_MOST", "WINDOW_SPAN_MS"), WINDOW, strict=True):
        monkeypatch.setattr(deciding, name, value)
