"""What can go wrong between actors, and whose fault it is.

* SupervisorError
  x ActorStopped      it is gone; look it up again, or wake it through its Directory
  x MailboxFull       it is alive and behind; wait (`send`, `ask`) or shed the work
  x AskTimeout        no answer in time; whether it was handled is not known
  x Quarantined       this key or this message has killed before; come back after `retry_after`
  x StartTimeout      `started` took longer than the class's `patience`; what it waits for is not there
  x TooManyRestarts   a supervisor gave up on a child; it fails upward, to its own supervisor
"""

__all__ = ["ActorStopped", "AskTimeout", "MailboxFull", "Quarantined", "StartTimeout", "SupervisorError", "TooManyRestarts"]


class SupervisorError(Exception):
    """The root of all errors of this package; never raised itself."""


class ActorStopped(SupervisorError):
    """The actor this was meant for has ended.

    `begun` says whether it had begun to handle the message: False means that it certainly was not handled and may be sent
    again to the next life; True means that the outcome is not known. The error that ended it, if any, is the `__cause__`.
    """

    def __init__(self, name: str, *, begun: bool = False) -> None:
        super().__init__(f"{name} has stopped" + (" while handling this" if begun else ""))
        self.name = name
        self.begun = begun


class MailboxFull(SupervisorError):
    """The mailbox holds as many messages as it may; nothing was put into it."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"the mailbox of {name} is full ({limit} messages)")
        self.name = name
        self.limit = limit


class AskTimeout(SupervisorError):
    """No answer came within the deadline; the message may still be handled, unless it was waiting for room in the mailbox."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"{name} did not answer within {seconds:g} s")
        self.name = name
        self.seconds = seconds


class Quarantined(SupervisorError):
    """The message, or every message for this key, is kept away from the actor for `retry_after` more seconds."""

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(f"{name} is in quarantine for {retry_after:.1f} s more")
        self.name = name
        self.retry_after = retry_after


class StartTimeout(SupervisorError):
    """The actor's `started` was cut off after the seconds that its class allows."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"{name} did not start within {seconds:g} s")
        self.name = name
        self.seconds = seconds


class TooManyRestarts(SupervisorError):
    """A child needed more restarts than its supervisor allows; its last error is the `__cause__`."""

    def __init__(self, supervisor: str, child: str, restarts: int, within: float) -> None:
        super().__init__(f"{supervisor}: more than {restarts} restarts in {within:g} s, the last one for {child}")
        self.child = child
