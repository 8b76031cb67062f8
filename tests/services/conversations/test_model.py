"""Random sequences of what people do to a conversation, against a model that keeps nothing but who is there, in the plainest way."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from services.heads import head_of, part_keys, restore
from services.rights import capabilities
from storage.ports.entry import encode_entry
from storage.ports.log import Loaded, StoredRow
from tests.services.log import PARTS, Log

USERS = ("ua", "ub", "uc", "ud")
CHATS = {"send"}
MANAGES = {"send", "add", "remove"}
ALL = {"send", "add", "remove", "role", "update", "freeze", "delete"}
GRANTED = {"owner": ALL, "admin": MANAGES, "member": CHATS}
KIND = {"send": "message.new", "add": "member.added", "remove": "member.removed", "role": "member.updated", "update": "conversation.updated",
        "freeze": "conversation.frozen", "delete": "conversation.deleted", "join": "member.joined", "leave": "member.left"}


class Model:
    """A conversation as one would explain it to somebody."""

    def __init__(self, kind: str, access: str, members: dict[str, str]) -> None:
        self.kind, self.access, self.members = kind, access, dict(members)
        self.frozen = self.deleted = False
        self.about: dict[str, Any] = {}

    def may(self, actor: str, verb: str) -> str:
        open_to_all = self.kind == "channel" and self.access != "private"
        if self.deleted:
            return "not_found"
        if actor and actor not in self.members:
            if verb == "join":
                return "" if open_to_all else "not_found"
            return "not_a_member" if open_to_all else "not_found"
        if verb == "join":
            return "" if actor else "not_found"
        if verb == "leave":
            return "forbidden" if self.kind == "direct" else ("not_found" if not open_to_all else "not_a_member") if not actor else ""
        if verb == "send" and self.frozen:
            return "frozen"
        granted = set(GRANTED[self.members[actor]] if actor else ALL - {"send"})
        if self.kind == "direct":
            granted -= {"add", "remove", "role", "delete"}
        if self.access == "broadcast" and actor and self.members[actor] == "member":
            granted -= {"send"}
        return "" if verb in granted else "forbidden"

    def last_owner(self, user: str) -> bool:
        return [one for one, role in self.members.items() if role == "owner"] == [user]

    def do(self, actor: str, verb: str, facts: dict[str, Any]) -> str:
        """Do it; empty, or the code that says why not."""
        if refusal := ("not_found" if self.deleted else self._leave_of_nobody(actor, verb) or self.may(actor, verb)):
            return refusal
        return getattr(self, f"_{verb}")(actor, facts) or ""

    def _leave_of_nobody(self, actor: str, verb: str) -> str:
        if verb == "leave" and not actor:
            return "not_a_member" if self.kind == "channel" and self.access != "private" else "not_found"
        return ""

    def _send(self, actor: str, facts: dict[str, Any]) -> None:
        """Nothing of this model changes."""

    def _add(self, actor: str, facts: dict[str, Any]) -> None:
        for place, user in enumerate(facts["users"]):
            first = not self.members and not place
            self.members.setdefault(user, "owner" if first else "member")

    def _join(self, actor: str, facts: dict[str, Any]) -> None:
        self.members.setdefault(actor, "member")

    def _remove(self, actor: str, facts: dict[str, Any]) -> str | None:
        user = facts["user"]
        if self.members.get(user) == "owner":
            if actor and self.members[actor] != "owner":
                return "forbidden"
            if self.last_owner(user):
                return "last_owner"
        self.members.pop(user, None)
        return None

    def _leave(self, actor: str, facts: dict[str, Any]) -> str | None:
        if self.last_owner(actor):
            return "last_owner"
        del self.members[actor]
        return None

    def _role(self, actor: str, facts: dict[str, Any]) -> str | None:
        user, role = facts["user"], facts["role"]
        if user not in self.members:
            return "not_found"
        if role not in GRANTED:
            return "bad_request"
        if role != "owner" and self.last_owner(user):
            return "last_owner"
        self.members[user] = role
        return None

    def _update(self, actor: str, facts: dict[str, Any]) -> str | None:
        if self.kind == "direct" and facts["about"].get("name") is not None:
            return "bad_request"
        for name, value in facts["about"].items():
            self.about.pop(name, None)
            if value is not None:
                self.about[name] = value
        return None

    def _freeze(self, actor: str, facts: dict[str, Any]) -> None:
        self.frozen = facts["frozen"]

    def _delete(self, actor: str, facts: dict[str, Any]) -> None:
        self.deleted = True


PEOPLE = some.sampled_from(USERS)
ACTS = some.fixed_dictionaries({
    "verb": some.sampled_from([*KIND, "role", "leave", "add", "join"]),
    "actor": some.sampled_from(["", *USERS]),
    "user": PEOPLE,
    "users": some.lists(PEOPLE, min_size=1, max_size=3, unique=True),
    "role": some.sampled_from(["owner", "admin", "member", "owner", "king"]),
    "about": some.dictionaries(some.sampled_from(["name", "description", "custom"]), some.none() | some.text(max_size=3), max_size=2),
    "frozen": some.booleans(),
})
BEGINNINGS = some.sampled_from([
    ("group", "private", {"ua": "owner", "ub": "member"}), ("group", "private", {"ua": "owner", "ub": "admin", "uc": "owner"}),
    ("direct", "private", {"ua": "owner", "ub": "owner"}), ("channel", "public", {"ua": "owner", "ub": "member"}),
    ("channel", "broadcast", {"ua": "owner", "ub": "member", "uc": "admin"}), ("channel", "private", {"ua": "owner"}),
    ("group", "private", {}), ("channel", "public", {}),
])


@settings(max_examples=300, deadline=None)
@given(beginning=BEGINNINGS, acts=some.lists(ACTS, max_size=25), cut=some.integers(0, 25))
def test_the_fold_is_what_people_did(beginning: Any, acts: list[dict[str, Any]], cut: int) -> None:
    kind, access, members = beginning
    model = Model(kind, access, members)
    log = Log({"type": kind, "access": access, "members": list(members.items()), "about": {}, "by": ""})
    shelf: dict[str, Any] = {}
    keep(shelf, log)
    for number, act in enumerate(acts):
        if number == cut:
            log.fold = woken(log, shelf)
        expected = model.do(act["actor"], act["verb"], act) if act["verb"] != "delete" or number % 3 == 0 else None
        if expected is None:
            continue  # a conversation that is deleted at once teaches little
        outcome = log.add(KIND[act["verb"]], act["actor"], {name: value for name, value in act.items() if name not in ("verb", "actor")})
        assert outcome.code == expected, act
        keep(shelf, log)
        agrees(model, log, shelf)


def agrees(model: Model, log: Log, shelf: dict[str, Any]) -> None:
    fold = log.fold
    assert (fold.frozen, fold.deleted, fold.about) == (model.frozen, model.deleted, model.about)
    assert {user: member.role for user, member in fold.members.items()} == model.members
    written = {doc["user"]: doc["role"] for key, doc in shelf.items() if key.startswith("memberships/") and doc is not None}
    assert written == ({} if model.deleted else model.members)
    assert model.kind != "direct" or len(fold.members) == 2
    if "owner" in fold_roles(log, 0) and not model.deleted:
        assert "owner" in model.members.values(), "the last owner stays"
    for user, role in model.members.items():
        assert model.deleted or ("send" in capabilities(fold, role)) == (model.may(user, "send") == "")


def fold_roles(log: Log, number: int) -> list[str]:
    return [role for _, role in log.entries[number][0].facts["members"]]


def keep(shelf: dict[str, Any], log: Log) -> None:
    """Write down what the last entry changes."""
    for change in log.entries[-1][2].changes:
        shelf[f"{change.collection}/{change.key}"] = change.doc


def woken(log: Log, shelf: dict[str, Any]) -> Any:
    """The fold, made again of what was written down."""
    rows = [StoredRow(outcome.seq, outcome.n, place, encode_entry(entry)) for entry, place, outcome in log.entries if outcome.what == "ok"]
    head = head_of(log.fold)
    parts = [shelf[f"parts/{key}"] for key in part_keys("c", head["joined"]) if f"parts/{key}" in shelf]
    return restore(PARTS, Loaded(log.fold.place, head, parts, [row for row in rows if head["window"] <= row.seq]))
