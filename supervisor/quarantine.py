"""Poison: what has killed an actor once is kept away from it, so that one bad message is not the end of a room again and again."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from math import inf

__all__ = ["Quarantine"]

KEYS = 1_024
"""Keys remembered; the one that has been well for longest is forgotten first."""
MESSAGES = 64
"""Messages remembered for a key."""
LONGEST = 3_600.0
"""Seconds: the span doubles with each relapse, up to here."""


@dataclass(slots=True)
class _Ban:
    until: float
    span: float


@dataclass(slots=True)
class _Record:
    deaths: deque[float]
    whole: _Ban = field(default_factory=lambda: _Ban(-inf, 0.0))
    messages: OrderedDict[Hashable, _Ban] = field(default_factory=OrderedDict)


class Quarantine:
    """Pure book-keeping in the seconds it is handed. Two rules: a message that killed is refused for `span` seconds; so is every
    message for a key that died `deaths` times within `within` seconds. After that, one more try; a relapse doubles the span."""

    def __init__(self, *, span: float = 60.0, deaths: int = 3, within: float = 5.0) -> None:
        self._span = span
        self._deaths = deaths
        self._within = within
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __bool__(self) -> bool:
        """False while nobody has died, so that the healthy pay nothing."""
        return bool(self._records)

    def died(self, key: str, fingerprint: Hashable | None, now: float) -> float:
        """A life of `key` was ended by the message with this fingerprint (None: not by one). Seconds for which `key` is refused whole."""
        record = self._records.setdefault(key, _Record(deque(maxlen=self._deaths)))
        self._records.move_to_end(key)
        if len(self._records) > KEYS:
            self._records.popitem(last=False)
        if fingerprint is not None:
            self._ban_message(record, fingerprint, now)
        record.deaths.append(now)
        if len(record.deaths) == self._deaths and now - record.deaths[0] <= self._within:
            record.deaths.clear()
            self._extend(record.whole, now)
        return max(0.0, record.whole.until - now)

    def refusal(self, key: str, now: float) -> float | None:
        """Seconds for which every message for `key` is refused; 0.0: some messages are, ask `refusal_of`; None: it is well."""
        record = self._records.get(key)
        if record is None:
            return None
        return max(0.0, record.whole.until - now)

    def refusal_of(self, key: str, fingerprint: Hashable | None, now: float) -> float:
        """Seconds for which this one message is refused; 0.0: it may pass."""
        record = self._records.get(key)
        ban = record.messages.get(fingerprint) if record and fingerprint is not None else None
        return max(0.0, ban.until - now) if ban else 0.0

    def count(self, now: float) -> int:
        """Keys that are refused whole."""
        return sum(record.whole.until > now for record in self._records.values())

    def _ban_message(self, record: _Record, fingerprint: Hashable, now: float) -> None:
        self._extend(record.messages.setdefault(fingerprint, _Ban(-inf, 0.0)), now)
        record.messages.move_to_end(fingerprint)
        if len(record.messages) > MESSAGES:
            record.messages.popitem(last=False)

    def _extend(self, ban: _Ban, now: float) -> None:
        ban.span = min(LONGEST, ban.span * 2 or self._span)
        ban.until = now + ban.span
