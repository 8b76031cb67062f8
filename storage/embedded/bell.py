"""What wakes the writer's thread."""

import threading


class Bell:
    """Rung by one thread, heard by another; rung again before it is heard, it is heard once.

    One lock, taken while nobody has rung. A `threading.Event` has a second one, for which whoever sets it and whoever wakes wait in turn:
    some six system calls, where these are two.
    """

    __slots__ = ("_rung", "_silence")

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()
        self._rung = False

    def ring(self) -> None:
        """Whoever waits wakes; what was done before can be seen by then."""
        if not self._rung:
            self._rung = True  # first: whoever wakes at once takes it back
            self._silence.release()

    def wait(self, seconds: float) -> bool:
        """Until it has been rung since it was heard last; False when it was not, for so long."""
        heard = self._silence.acquire(timeout=seconds)
        if heard:
            self._rung = False
        return heard
