"""One's own read and delivered pointers on their way to the server: gathered for a second, only forward. Pure."""

from caas_sdk import protocol

Pointer = tuple[str, str]
"""`message.read` or `message.delivered`, and the conversation."""


class Pointers:
    """How far one has read, and one's device has got, in each conversation."""

    def __init__(self) -> None:
        self._wanted: dict[Pointer, int] = {}
        self._told: dict[Pointer, int] = {}
        self._next = 0.0

    def move(self, command: str, conversation: str, seq: int) -> None:
        """A pointer has moved; backwards it never does. What is read is delivered as well."""
        known = max(self._told.get((command, conversation), 0), self._told.get(("message.read", conversation), 0))
        if seq > max(known, self._wanted.get((command, conversation), 0)):
            self._wanted[command, conversation] = seq

    def known(self, command: str, conversation: str, seq: int) -> None:
        """The server has this pointer already."""
        pointer = (command, conversation)
        self._told[pointer] = max(seq, self._told.get(pointer, 0))
        if self._wanted.get(pointer, 0) <= self._told[pointer]:
            self._wanted.pop(pointer, None)

    def forget(self, conversation: str) -> None:
        """The server has lost what it was told of a conversation."""
        for pointer in [pointer for pointer in self._told if pointer[1] == conversation]:
            del self._told[pointer]

    def take(self, now: float) -> list[tuple[str, str, int]]:
        """(command, conversation, seq) to be sent now: all that gathered, at most once a second."""
        if not self._wanted or now < self._next:
            return []
        self._next = now + protocol.ACK_EVERY_S
        due = [(command, conversation, seq) for (command, conversation), seq in self._wanted.items()
               if command == "message.read" or seq > self._wanted.get(("message.read", conversation), 0)]
        self._told |= {(command, conversation): seq for command, conversation, seq in due}
        self._wanted.clear()
        return due

    def next_at(self) -> float | None:
        """When to look again."""
        return self._next if self._wanted else None
