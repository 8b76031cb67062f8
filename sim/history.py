"""The history checker: what clients saw, laid against the log as it is read back at the end.

Clients record what they attempt and what they are given; nothing here knows how they got it. An attempt ends in one of three ways:

    ok      acknowledged, with its seq
    fail    refused: this attempt did nothing, and says nothing of others with the same id
    info    unknown: a timeout or a lost connection; it may have taken effect, now or later

An attempt that ends in none of them is unknown too. The rules:

    S1  whatever was acknowledged is in the log, at that seq, with that content     S7  one sender's messages stay in the order sent
    S2  an id is in a conversation once                                             S8  nothing that nobody sent; another epoch is announced
    S3  seq is 1, 2, 3... without a hole                                            S9  what was refused each time is not in the log, and nothing
                                                                                        that is answered as the repeat of it
    S4  what was delivered at a seq is what the log has there                       S10 no tenant is given what is another's, nobody what is
    S5  deliveries go on where they stopped, without a hole                             said when they are out, and nobody says it then
    S6  acknowledged before another began: the earlier seq                          S11 what is gone was deleted, what was deleted is gone; acts
                                                                                        are about what is there; read marks only rise,
    S12 what is counted is what the log has: messages,                                  none is told that nobody made, none acknowledged
        and what each user has not read yet                                             is lost

Conversations of several tenants are called `tenant/conversation`. S12 needs what the server counts (`counted`), and what the users' own lists
say in the end (`lists`), which tells of S11 besides: a read mark may be lost with a worker that falls soon after it was acknowledged, and in no
other case.

Acts besides messages (edits, reactions...) are held to the same rules but for S7: they bear no `after`. Their `id` is made of what they
say, which no other act says (`sim/acts.py`), since pushes do not tell the id of the act.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from json import dumps, loads
from pathlib import Path
from typing import Literal, NamedTuple

Outcome = Literal["invoke", "ok", "fail", "info"]
Op = Literal["send", "act", "deliver", "join", "gap", "mark", "read", "blow"]
DONE = ("send", "act")
RULES = tuple(f"S{number}" for number in range(1, 13))
KEPT_NS = 14 * 10**9
"""A read mark so old is written down: ten seconds are promised, and writing takes some time on a busy machine."""
EDIT = "message.updated "
NOT_TOLD = 0
"""The seq of an acknowledgement that tells none."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a client did or saw.

    `t` is in ns of one clock that all clients share. `process` is one client over all its reconnections. A `join` (seq: the last entry
    not wanted) begins deliveries; a `gap` (seq: its last) is an announced hole; a `mark` tells that the user `id` has read up to seq, and a
    `read` is what one says oneself of that, with an outcome. A `blow` is of nobody: something of the server was hurt then, and may have lost
    what it had not written down yet. Entries that are no messages have no `id` and no `sha`.
    """

    t: int
    process: str
    client: str
    conversation: str
    op: Op
    type: Outcome
    id: str = ""
    sha: str = ""
    epoch: int = 0
    seq: int = 0
    repeat: bool = False
    """Of an acknowledgement: it says that an earlier attempt had taken effect."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log, as read back."""

    seq: int
    id: str = ""
    sha: str = ""
    sender: str = ""
    gone: bool = False
    """Its body was removed: a message has no `sha` any more, and what else has nothing left to show (an edit) no `id` either."""


class Listed(NamedTuple):
    """What a user's own list says of a conversation when all is over."""

    user: str
    conversation: str
    read_seq: int
    unread: int


Log = Mapping[str, Sequence[Entry]]
Send = tuple[str, str]
"""(conversation, id)"""


def digest(text: str) -> str:
    """What stands for a body in a history."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def write(events: Iterable[Event], file: Path) -> None:
    """A history as JSON lines."""
    with file.open("w") as out:
        out.writelines(dumps(asdict(event)) + "\n" for event in events)


def read(file: Path) -> list[Event]:
    """What `write` wrote."""
    with file.open() as lines:
        return [Event(**loads(line)) for line in lines]


def violations(events: Iterable[Event], log: Log, counted: Mapping[str, int] | None = None, lists: Sequence[Listed] = ()) -> list[str]:
    """Every broken rule as a sentence that begins with the rule's name; empty when the history is as promised.

    `counted`: by conversation, how many messages the server says there are. `lists`: what users are told of their conversations in the end.
    """
    ordered = sorted(events, key=lambda event: event.t)
    checks = (_acknowledged, _each_id_once, _dense, _delivered_as_logged, _contiguous, _real_time_order, _sender_order, _nothing_of_nobody,
              _epochs_announced, _refused_stays_out, _refused_did_nothing, _tenants_apart, _outside, _gone_by_somebody, _about_something, _marks_rise,
              _marks_of_somebody)
    found = [sentence for check in checks for sentence in check(ordered, log)]
    return [*found, *_counted(counted or {}, log), *_marks_kept(ordered, lists), *_unread(log, lists)]


def tally(found: Iterable[str]) -> dict[str, int]:
    """Violations of each rule, the twelve of them."""
    counted = Counter(sentence.partition(":")[0] for sentence in found)
    return {rule: counted[rule] for rule in RULES}


def _places(log: Log) -> dict[Send, Entry]:
    return {(conversation, entry.id): entry for conversation, entries in log.items() for entry in entries if entry.id}


def _acknowledged(events: Sequence[Event], log: Log) -> Iterator[str]:
    places = _places(log)
    for event in events:
        if event.op not in DONE or event.type != "ok":
            continue
        entry = places.get((event.conversation, event.id))
        if entry is None and _went_with_its_message(event, places, log):
            continue
        if entry is None:
            yield f"S1: {event.conversation} has lost {event.id}, acknowledged at seq {event.seq}"
        elif event.seq not in (entry.seq, NOT_TOLD) or not _same(entry, event):
            yield f"S1: {event.id} was acknowledged at seq {event.seq} of {event.conversation}, and the log has it at {entry.seq} with {entry.sha}"


def _went_with_its_message(event: Event, places: Mapping[Send, Entry], log: Log) -> bool:
    """Whether it is the edit of a message that is gone, and nothing is left of it either."""
    if not event.id.startswith(EDIT) or event.seq > len(log.get(event.conversation, ())):
        return False
    message = places.get((event.conversation, event.id.removeprefix(EDIT).partition(" ")[0]))
    left = log[event.conversation][event.seq - 1] if event.seq != NOT_TOLD else message
    return message is not None and message.gone and left is not None and left.gone


def _each_id_once(events: Sequence[Event], log: Log) -> Iterator[str]:
    for conversation, entries in log.items():
        for id, times in Counter(entry.id for entry in entries if entry.id).items():
            if times > 1:
                yield f"S2: {id} is {times} times in {conversation}"


def _dense(events: Sequence[Event], log: Log) -> Iterator[str]:
    for conversation, entries in log.items():
        for expected, entry in enumerate(entries, 1):
            if entry.seq != expected:
                yield f"S3: {conversation} goes on with seq {entry.seq} where {expected} is due"
                break


def _delivered_as_logged(events: Sequence[Event], log: Log) -> Iterator[str]:
    places = _places(log)
    logged = {(conversation, entry.seq): entry for conversation, entries in log.items() for entry in entries}
    for event in events:
        if event.op != "deliver":
            continue
        entry = logged.get((event.conversation, event.seq))
        if _went_with_its_message(event, places, log):
            continue
        if entry is None or entry.id != event.id or not _same(entry, event):
            yield f"S4: {event.process} was given {event.id or 'an entry'} at seq {event.seq} of {event.conversation}, and the log has {entry}"


def _contiguous(events: Sequence[Event], log: Log) -> Iterator[str]:
    last: dict[tuple[str, str], int] = {}
    for event in events:
        where = event.process, event.conversation
        if event.op == "join":
            last.setdefault(where, event.seq)
        elif event.op == "gap":
            last[where] = event.seq
        elif event.op == "deliver":
            if where not in last or event.seq != last[where] + 1:
                yield f"S5: {event.process} was given seq {event.seq} of {event.conversation} after {last.get(where, 'no join')}"
            last[where] = event.seq


def _real_time_order(events: Sequence[Event], log: Log) -> Iterator[str]:
    places = _places(log)
    latest: dict[str, int] = defaultdict(int)
    begun: set[Send] = set()
    for event in events:
        if event.op not in DONE:
            continue
        send = event.conversation, event.id
        if event.type == "ok":
            latest[event.conversation] = max(latest[event.conversation], event.seq)
        elif event.type == "invoke" and send not in begun:
            begun.add(send)
            if send in places and places[send].seq <= latest[event.conversation]:
                yield (f"S6: {event.id} was first sent when seq {latest[event.conversation]} of {event.conversation} was acknowledged, "
                       f"and has seq {places[send].seq}")


def _sender_order(events: Sequence[Event], log: Log) -> Iterator[str]:
    """Of what a sender gave up after a refusal an earlier attempt may still take effect, whenever it likes: that is left out."""
    places = _places(log)
    ended = {(event.conversation, event.id): event.type for event in events if event.op == "send" and event.type != "invoke"}
    latest: dict[tuple[str, str], int] = defaultdict(int)
    begun: set[Send] = set()
    for event in events:
        send, lane = (event.conversation, event.id), (event.process, event.conversation)
        if (event.op, event.type) != ("send", "invoke") or send in begun or ended.get(send) == "fail":
            continue
        begun.add(send)
        if send in places:
            if places[send].seq < latest[lane]:
                yield f"S7: {event.process} sent {event.id} to {event.conversation} after its seq {latest[lane]}, and it has seq {places[send].seq}"
            latest[lane] = max(latest[lane], places[send].seq)


def _nothing_of_nobody(events: Sequence[Event], log: Log) -> Iterator[str]:
    sent: dict[Send, list[Event]] = defaultdict(list)
    for event in events:
        if event.op in DONE and event.type == "invoke":
            sent[event.conversation, event.id].append(event)
    for (conversation, id), entry in _places(log).items():
        if not any(event.client == entry.sender and _same(entry, event) for event in sent[conversation, id]):
            yield f"S8: {conversation} has {id} of {entry.sender} with {entry.sha} at seq {entry.seq}, and nobody sent that"


def _epochs_announced(events: Sequence[Event], log: Log) -> Iterator[str]:
    epochs: dict[tuple[str, str], int] = {}
    for event in events:
        where = event.process, event.conversation
        if event.op == "gap":
            epochs[where] = event.epoch
        elif event.op in ("join", "deliver") and epochs.setdefault(where, event.epoch) != event.epoch:
            yield f"S8: {event.process} went from epoch {epochs[where]} of {event.conversation} to {event.epoch}, and was told of no gap"
            epochs[where] = event.epoch


def _refused_stays_out(events: Sequence[Event], log: Log) -> Iterator[str]:
    attempts: dict[Send, Counter[str]] = defaultdict(Counter)
    for event in events:
        if event.op in DONE:
            attempts[event.conversation, event.id][event.type] += 1
    places = _places(log)
    for send, counted in attempts.items():
        if counted["invoke"] == counted["fail"] and send in places:
            yield f"S9: {send[1]} was refused each time it was sent to {send[0]}, and is there at seq {places[send].seq}"


def _refused_did_nothing(events: Sequence[Event], log: Log) -> Iterator[str]:
    """Whoever is told that an earlier attempt took effect has made one that was not refused, besides the one that is answered."""
    attempts: dict[Send, Counter[str]] = defaultdict(Counter)
    for event in events:
        if event.op not in DONE:
            continue
        before = attempts[event.conversation, event.id]
        if event.type == "ok" and event.repeat and before["invoke"] - before["fail"] < 2:
            yield f"S9: {event.process} was refused each time it sent {event.id} to {event.conversation}, and is told that it had taken effect"
        before[event.type] += 1


def _tenants_apart(events: Sequence[Event], log: Log) -> Iterator[str]:
    """Same ids in two tenants are two things; a content that only another tenant has sent is not to be seen."""
    of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in events:
        if event.op in DONE and event.type == "invoke":
            of[event.id, event.sha].add(_tenant(event.conversation))
    seen = [(event.conversation, event.id, event.sha, event.process) for event in events if event.op == "deliver" and event.sha]
    kept = [(conversation, entry.id, entry.sha, "the log") for conversation, entries in log.items() for entry in entries if entry.sha]
    for conversation, id, sha, whose in seen + kept:
        if (tenants := of.get((id, sha))) and _tenant(conversation) not in tenants:
            yield f"S10: {whose} of {conversation} has {id}, which {', '.join(sorted(tenants))} sent"


def _tenant(conversation: str) -> str:
    return conversation.partition("/")[0] if "/" in conversation else ""


def _outside(events: Sequence[Event], log: Log) -> Iterator[str]:
    """From the entry that shows somebody out to the one that lets them in again they say nothing and are told nothing."""
    out: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for conversation, entries in log.items():
        for entry in entries:
            what, _, who = entry.id.partition(" ")
            where = conversation, who.strip()
            if what == "member.removed":
                out[where].append((entry.seq, 2**63))
            elif what == "member.added" and out[where]:
                out[where][-1] = out[where][-1][0], entry.seq
            if any(since < entry.seq < until for since, until in out.get((conversation, entry.sender), ())):
                yield f"S10: {conversation} has an entry of {entry.sender} at seq {entry.seq}, who was out"
    for event in events:
        if event.op == "deliver" and any(since < event.seq < until for since, until in out.get((event.conversation, event.client), ())):
            yield f"S10: {event.process} was given seq {event.seq} of {event.conversation}, and was out"


def _about_something(events: Sequence[Event], log: Log) -> Iterator[str]:
    """An edit, a reaction, a pin is of a message that stands before it; of what was deleted nothing is left."""
    for conversation, entries in log.items():
        there: dict[str, Entry] = {}
        for entry in entries:
            what, _, rest = entry.id.partition(" ")
            if what.startswith(("message.", "reaction.")):
                message = there.get(rest.partition(" ")[0])
                if message is None:
                    yield f"S11: {conversation} has {entry.id} at seq {entry.seq}, and no such message before it"
                elif what == "message.deleted" and not message.gone:
                    yield f"S11: {message.id} of {conversation} was deleted at seq {entry.seq}, and is still to be read"
                elif entry.id.startswith(EDIT) and message.gone:
                    yield f"S11: {message.id} of {conversation} was deleted, and what it was edited to at seq {entry.seq} is still to be read"
            elif entry.id:
                there[entry.id] = entry


def _marks_rise(events: Sequence[Event], log: Log) -> Iterator[str]:
    last: dict[tuple[str, str, str], int] = {}
    for event in events:
        where = event.process, event.conversation, event.id
        if event.op == "mark":
            if event.seq < last.get(where, 0):
                yield f"S11: {event.process} was told that {event.id} has read up to {event.seq} of {event.conversation}, after {last[where]}"
            if event.seq > len(log.get(event.conversation, ())):
                yield f"S11: {event.process} was told that {event.id} has read up to {event.seq} of {event.conversation}, which there is not"
            last[where] = event.seq


def _marks_of_somebody(events: Sequence[Event], log: Log) -> Iterator[str]:
    """What is told of somebody's reading they have said."""
    said = {(event.client, event.conversation, event.seq) for event in events if event.op == "read"}
    for event in events:
        if event.op == "mark" and (event.id, event.conversation, event.seq) not in said:
            yield f"S11: {event.process} was told that {event.id} has read up to {event.seq} of {event.conversation}, who has never said so"


def _marks_kept(events: Sequence[Event], lists: Sequence[Listed]) -> Iterator[str]:
    """No list knows less than what was acknowledged, unless something fell soon after that; and none knows more than was ever said.

    From when it was asked: who falls may have answered just before, and the answer comes when it has fallen.
    """
    blows = [event.t for event in events if event.op == "blow"]
    asked: dict[tuple[str, str], int] = {}
    kept: dict[tuple[str, str], int] = defaultdict(int)
    said: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        if event.op == "read":
            where = event.client, event.conversation
            said[where] = max(said[where], event.seq)
            if event.type == "invoke":
                asked[where] = event.t
            elif event.type == "ok" and not _within(blows, asked.get(where, event.t), event.t + KEPT_NS):
                kept[where] = max(kept[where], event.seq)
    for user, conversation, read_seq, _ in lists:
        least, most = kept[user, conversation], said[user, conversation]
        if not least <= read_seq <= most:
            yield f"S11: {user} is said to have read up to {read_seq} of {conversation}; {least} is acknowledged and kept, {most} was ever said"


def _within(times: Sequence[int], since: int, until: int) -> bool:
    return bisect_left(times, since) < bisect_right(times, until)


def _unread(log: Log, lists: Sequence[Listed]) -> Iterator[str]:
    """Messages behind what the user has read, and behind what they said last themselves."""
    for user, conversation, read_seq, unread in lists:
        messages = [entry for entry in log.get(conversation, ()) if entry.id and " " not in entry.id]
        seen = max([read_seq, *(entry.seq for entry in messages if entry.sender == user)])
        if unread != (there := sum(1 for entry in messages if entry.seq > seen)):
            yield f"S12: {user} is said to have {unread} messages of {conversation} unread, and the log has {there} behind seq {seen}"


def _counted(counted: Mapping[str, int], log: Log) -> Iterator[str]:
    for conversation, number in counted.items():
        there = sum(1 for entry in log.get(conversation, ()) if entry.id and " " not in entry.id)
        if number != there:
            yield f"S12: {conversation} is said to have {number} messages, and the log has {there}"


def _gone_by_somebody(events: Sequence[Event], log: Log) -> Iterator[str]:
    deleted = {(event.conversation, event.id) for event in events if event.op == "act" and event.type == "invoke"}
    for conversation, entries in log.items():
        for entry in entries:
            if entry.gone and entry.id and (conversation, f"message.deleted {entry.id}") not in deleted:
                yield f"S11: {entry.id} at seq {entry.seq} of {conversation} is gone, and nobody deleted it"


def _same(entry: Entry, event: Event) -> bool:
    return entry.gone or entry.sha == event.sha
