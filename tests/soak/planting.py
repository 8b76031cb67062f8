"""Violations planted in the history that a round of real processes has left: proof that the checker would have seen one there."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.checker.history import Entry, Event, Listed, Log, violations

Plant = Callable[[list[Event], dict[str, list[Entry]], list[Listed], random.Random], str]


def lose(events: list[Event], log: dict[str, list[Entry]], lists: list[Listed], chance: random.Random) -> str:
    """An acknowledged message is not in the log, and those behind it close up."""
    event = chance.choice([event for event in events if (event.op, event.type) == ("send", "ok")])
    kept = [entry for entry in log[event.conversation] if entry.id != event.id]
    log[event.conversation] = [replace(entry, seq=seq) for seq, entry in enumerate(kept, 1)]
    return "S1"


def double(events: list[Event], log: dict[str, list[Entry]], lists: list[Listed], chance: random.Random) -> str:
    """An acknowledged message is there twice."""
    event = chance.choice([event for event in events if (event.op, event.type) == ("send", "ok")])
    entries = log[event.conversation]
    entries.append(replace(next(entry for entry in entries if entry.id == event.id), seq=len(entries) + 1))
    return "S2"


def exchange(events: list[Event], log: dict[str, list[Entry]], lists: list[Listed], chance: random.Random) -> str:
    """Two entries have changed places."""
    entries = log[chance.choice(sorted(log))]
    at, other = chance.sample([place for place, entry in enumerate(entries) if entry.id and " " not in entry.id], 2)
    entries[at], entries[other] = replace(entries[other], seq=at + 1), replace(entries[at], seq=other + 1)
    return "S1 S4"


def skip(events: list[Event], log: dict[str, list[Entry]], lists: list[Listed], chance: random.Random) -> str:
    """Something was never delivered to somebody who was given what follows it."""
    lanes: dict[tuple[str, str], list[int]] = {}
    for place, event in enumerate(events):
        if event.op == "deliver":
            lanes.setdefault((event.process, event.conversation), []).append(place)
    del events[chance.choice(chance.choice([places[1:-1] for places in lanes.values() if len(places) > 2]))]
    return "S5"


def invent(events: list[Event], log: dict[str, list[Entry]], lists: list[Listed], chance: random.Random) -> str:
    """The log has what nobody sent."""
    conversation = chance.choice(sorted(log))
    log[conversation].append(Entry(len(log[conversation]) + 1, "0199c0ff-ee00-7000-8000-00000000cafe", "f" * 16, "alice"))
    return "S8"


def unread(events: list[Event], log: dict[str, list[Entry]], lists: list[Listed], chance: random.Random) -> str:
    """Somebody's list knows less of what they have read than was acknowledged last."""
    at = chance.choice([place for place, row in enumerate(lists) if row.read_seq and any(
        (event.op, event.type, event.client, event.conversation, event.seq) == ("read", "ok", row.user, row.conversation, row.read_seq)
        for event in events[-len(lists) * 4:])])
    lists[at] = lists[at]._replace(read_seq=lists[at].read_seq - 1)
    return "S11"


def fall(events: list[Event], log: dict[str, list[Entry]], lists: list[Listed], chance: random.Random) -> str:
    """Somebody is told of a read mark that is below the one they were told of before."""
    event = chance.choice([event for event in events if event.op == "mark" and event.seq > 1])
    events.append(replace(event, t=events[-1].t, seq=event.seq - 1))
    return "S11"


PLANTS: Sequence[Plant] = (lose, double, exchange, skip, invent, unread, fall)


def unseen(events: Sequence[Event], log: Log, lists: Sequence[Listed], chance: random.Random) -> tuple[int, list[str]]:
    """How many violations were planted, each in a copy of its own, and which were not found under the name of their rule."""
    missed: list[str] = []
    for plant in PLANTS:
        spoiled_events, spoiled, listed = list(events), {conversation: list(entries) for conversation, entries in log.items()}, list(lists)
        rules = plant(spoiled_events, spoiled, listed, chance).split()
        if not {sentence.partition(":")[0] for sentence in violations(spoiled_events, spoiled, {}, listed)} & set(rules):
            missed.append(f"the checker does not see what `{plant.__name__}` plants")
    return len(PLANTS), missed
