"""A conversation's log for tests of folds: entries applied as they are appended."""

from typing import Any

from protocol.ids import make_uuid7
from services.catalogue import KINDS
from services.deciding import Fold
from services.kinds import parts_of
from storage.ports.entry import Entry, Place

PARTS = parts_of(KINDS)
T = 1_700_000_000_000
CREATED: dict[str, Any] = {"type": "group", "access": "private", "members": [["ua", "owner"], ["ub", "member"]], "about": {}, "by": "a"}


class Log:
    """Entries of one conversation, applied as they are appended."""

    def __init__(self, created: dict[str, Any] | None = None) -> None:
        self.fold, self.entries = Fold(PARTS), list[tuple[Entry, Place, Any]]()
        self.add("conversation.created", "ua", created or CREATED)

    def add(self, kind: str, actor: str, facts: Any = None, *, at: int = T, op: bytes = b"", digest: bytes = b"", checked: int | None = None,
            rules: int = 1) -> Any:
        number = len(self.entries) + 1
        op = op or make_uuid7(at, number.to_bytes(10, "big"))
        entry = Entry(rules, kind, "t", "c", actor, op, self.fold.seq if checked is None else checked, at, ("n", 1, number), digest or op, "",
                      {} if facts is None else facts)
        outcome = self.fold.apply(entry, Place(1, number))
        self.entries.append((entry, Place(1, number), outcome))
        return outcome

    def say(self, actor: str = "ua", **rest: Any) -> Any:
        return self.add("message.new", actor, **rest)

    def op(self, number: int) -> bytes:
        return self.entries[number - 1][0].op
