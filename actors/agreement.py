"""Agreement: whether the rooms that nodes have of one conversation have made the same of the log.

They cannot differ, unless a program is wrong or a record was damaged in a way no checksum sees; so it is looked at all the time, and cheaply.
At every 64th entry of a conversation each room that is awake says the hash of its fold at that place, and compares it with what others say.
"""

import logging
from collections import OrderedDict

from actors.across import Across
from actors.keys import Key
from services.agreement import digest_of
from services.deciding import Fold

_log = logging.getLogger("actors.agreement")

EVERY = 64
_MOST = 2_000

Moment = tuple[Key, int]
"""A conversation at one seq."""


class Agreement:
    """One worker's hashes, and those that it has heard of."""

    def __init__(self, across: Across, every: int = EVERY) -> None:
        self._across, self.every = across, every
        self._own: OrderedDict[Moment, bytes] = OrderedDict()
        self._heard: OrderedDict[Moment, list[bytes]] = OrderedDict()
        self.agreed = self.differed = 0
        across.on("fold", self._hear)

    def applied(self, key: Key, fold: Fold) -> None:
        """A room has accepted an entry. On every message's way: no more than it takes."""
        if fold.seq % self.every or not self._across:
            return
        moment, own = (key, fold.seq), digest_of(fold)
        self._own[moment] = own
        _bound(self._own)
        self._across.tell("fold", *key, fold.seq, own)
        for other in self._heard.pop(moment, ()):
            self._compare(moment, own, other)

    def _hear(self, tenant: str, conversation: str, seq: int, other: bytes) -> None:
        moment = (Key(tenant, conversation), seq)
        if (own := self._own.get(moment)) is not None:
            return self._compare(moment, own, other)
        self._heard.setdefault(moment, []).append(other)
        _bound(self._heard)

    def _compare(self, moment: Moment, own: bytes, other: bytes) -> None:
        if own == other:
            self.agreed += 1
            return
        self.differed += 1
        _log.critical("%s at seq %d is another one on another node: %s here, %s there; tell us, and restart the one that differs from the others",
                      moment[0], moment[1], own.hex(), other.hex())


def _bound(books: "OrderedDict[Moment, bytes] | OrderedDict[Moment, list[bytes]]") -> None:
    if len(books) > _MOST:
        books.popitem(last=False)
