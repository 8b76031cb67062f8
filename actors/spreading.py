"""Spreading: where what a room tells goes, to this worker's audiences or over a link to another's."""

from collections.abc import Callable, Collection, Iterable

from actors.across import Across
from actors.addressees import Addressees
from actors.fanout import Fanout
from actors.keys import Key
from services.kinds import Touched


class Spreader:
    """Where a room's pushes go: this worker's audiences directly, those of others over the links."""

    def __init__(self, me: str, fanout: Fanout, addressees: Addressees, tell: Callable[[str, object], bool],
                 workers: Callable[[], Iterable[str]], across: Across) -> None:
        self._me, self._fanout, self._addressees, self._tell, self._workers, self._across = me, fanout, addressees, tell, workers, across

    def spread(self, worker: str, key: Key, seq: int, push: bytes, touched: Touched) -> None:
        """One push to one worker. What a link does not take is fetched again when it is back."""
        if worker == self._me:
            self._fanout.take(key, seq, push, touched)
        else:
            self._tell(worker, ["push", *key, seq, push, *touched])

    def emit(self, worker: str, key: Key, push: bytes, but: str) -> None:
        """Something ephemeral to one worker. May be lost."""
        if worker == self._me:
            self._fanout.emit(key, push, but)
        else:
            self._tell(worker, ["emit", *key, push, but])

    def address(self, key: Key, push: bytes, users: Collection[str], *, watching: bool) -> None:
        """Something ephemeral to certain users, on all workers; and on all nodes, if it is for those who do not watch: where somebody
        does, the room of that node tells them. May be lost."""
        if not watching:
            self._across.tell("address", *key, push, list(users))
        for worker in self._workers():
            if worker == self._me:
                self._addressees.deliver(key, push, users, watching)
            else:
                self._tell(worker, ["address", *key, push, list(users), watching])

    def lags(self, worker: str, key: Key, head: int) -> None:
        """Tell a worker that it lacks something up to `head`."""
        if worker == self._me:
            self._fanout.lags(key, head)
        else:
            self._tell(worker, ["lags", *key, head])

    def gone(self, worker: str, key: Key) -> None:
        """The room has ended while somebody listened: they listen anew."""
        if worker == self._me:
            self._fanout.refollow(key)
        else:
            self._tell(worker, ["gone", *key])
