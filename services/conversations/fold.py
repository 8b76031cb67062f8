"""The conversations' part of the fold: being created, members coming and going, the floor rising. Pure and total."""

from collections.abc import Callable, Iterable, Sequence

from protocol.limits import GROUP
from services.deciding import Decision, Fold, Member, Said
from services.heads import part_changes
from services.rights import ROLES, allowed
from storage.ports.entry import Entry
from storage.ports.log import Change

TYPES = ("direct", "group", "channel")


def decide_created(fold: Fold, said: Said) -> Decision:
    """A conversation begins with this entry, once."""
    facts = said.facts
    rows: list[tuple[str, str]] = [(user, role) for user, role in facts["members"]]
    if fold.seq:
        return Decision("id_conflict")
    if facts["type"] not in TYPES or not all(role in ROLES for _, role in rows):
        return Decision("bad_request")
    kind, access, about, creator = facts["type"], facts["access"], dict(facts["about"]), str(facts["by"])

    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.type, fold.access, fold.about = kind, access, about
        fold.created_by, fold.created, fold.updated = creator, entry.at, entry.at
        return _join(fold, entry, rows)

    return Decision(change=change)


def decide_member_added(fold: Fold, said: Said) -> Decision:
    """New members; those who are there already stay as they are."""
    users: list[str] = list(said.facts["users"])
    if refusal := allowed(fold, said.actor, "add_members"):
        return Decision(refusal)
    new = [user for user in dict.fromkeys(users) if user not in fold.members]
    if len(fold.members) + len(new) > GROUP:
        return Decision("too_large")
    role = "owner" if not fold.members else "member"
    rows = [(user, role if not place else "member") for place, user in enumerate(new)]
    return Decision(change=lambda fold, entry: _join(fold, entry, rows))


def decide_member_removed(fold: Fold, said: Said) -> Decision:
    """One member goes; nobody but an owner removes an owner, and the last owner stays."""
    user: str = said.facts["user"]
    if refusal := allowed(fold, said.actor, "remove_members"):
        return Decision(refusal)
    member = fold.members.get(user)
    if member is None:
        return Decision()
    if member.role == "owner" and not _may_remove_owner(fold, said.actor):
        return Decision("forbidden")
    return Decision(change=_leave(user), ended=(user,))


def decide_floor(fold: Fold, said: Said) -> Decision:
    """Retention has removed even the stubs up to a seq; ids made before `at` are refused from now on."""
    seq, at = int(said.facts["seq"]), int(said.facts["at"])
    if said.actor or seq > fold.seq:
        return Decision("forbidden")

    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.floor_seq, fold.floor_at = max(fold.floor_seq, seq), max(fold.floor_at, at)
        return ()

    return Decision(change=change)


def decide_server_alone(fold: Fold, said: Said) -> Decision:
    """What only the server makes, in a personal or the application's conversation: nothing refuses it."""
    return Decision()


def membership(tenant: str, conversation: str, user: str, member: Member | None, entry: Entry, fold: Fold) -> Change:
    """The document that says who belongs where; none when they have left."""
    doc = None if member is None else {"user": user, "conversation": conversation, "role": member.role, "joined": member.seq, "joined_at": member.at}
    return Change(tenant, "memberships", f"{conversation}/{user}", doc, fold.place)


def _join(fold: Fold, entry: Entry, rows: Iterable[tuple[str, str]]) -> Sequence[Change]:
    changes, seated = [], []
    for user, role in rows:
        if user in fold.members:
            continue
        member = fold.members[user] = Member(role, fold.seq, entry.at, fold.joined)
        fold.joined += 1
        seated.append(member.nth)
        changes.append(membership(entry.tenant, entry.conversation, user, member, entry, fold))
    fold.rights = fold.seq
    return changes + part_changes(fold, entry.tenant, entry.conversation, seated)


def _leave(user: str) -> Callable[[Fold, Entry], Sequence[Change]]:
    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        member = fold.members.pop(user)
        fold.rights = fold.seq
        gone = membership(entry.tenant, entry.conversation, user, None, entry, fold)
        return [gone, *part_changes(fold, entry.tenant, entry.conversation, (member.nth,))]

    return change


def _may_remove_owner(fold: Fold, actor: str) -> bool:
    owners = [user for user, member in fold.members.items() if member.role == "owner"]
    return len(owners) > 1 and (not actor or actor in owners)
