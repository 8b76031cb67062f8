"""The members' part of the fold: who comes, who goes, and in which role. Pure and total."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from protocol.limits import GROUP
from services.acts import Act
from services.conversations.showing import render_role
from services.deciding import ALLOWED, Decision, Fold, Member, Said
from services.heads import part_changes
from services.kinds import Kind, Kinds, Touched
from services.rights import ROLES, allowed, stranger
from storage.ports.entry import Entry
from storage.ports.log import Change


def decide_added(fold: Fold, said: Said) -> Decision:
    """New members; those who are there already stay as they are."""
    users: list[str] = list(said.facts["users"])
    if refusal := allowed(fold, said.actor, "add_members"):
        return Decision(refusal)
    new = [user for user in dict.fromkeys(users) if user not in fold.members]
    if len(fold.members) + len(new) > GROUP:
        return Decision("too_large")
    role = "owner" if not fold.members else "member"
    rows = [(user, role if not place else "member") for place, user in enumerate(new)]
    return Decision(change=lambda fold, entry: join(fold, entry, rows))


def decide_joined(fold: Fold, said: Said) -> Decision:
    """Somebody comes by themselves: only where its existence may be seen. Never as owner, even as the first."""
    user = said.actor
    if not fold.type or fold.deleted or not user:
        return Decision("not_found")
    if user in fold.members:
        return ALLOWED
    if stranger(fold) == "not_found":
        return Decision("not_found")
    if len(fold.members) >= GROUP:
        return Decision("too_large")
    return Decision(change=lambda fold, entry: join(fold, entry, [(user, "member")]))


def decide_removed(fold: Fold, said: Said) -> Decision:
    """One member is shown out; nobody but an owner removes an owner, and the last owner stays."""
    user: str = said.facts["user"]
    if refusal := allowed(fold, said.actor, "remove_members"):
        return Decision(refusal)
    member = fold.members.get(user)
    if member is None:
        return ALLOWED
    if member.role == "owner" and (refusal := _over_owners(fold, said.actor)):
        return Decision(refusal)
    return Decision(change=_leave(user))


def decide_left(fold: Fold, said: Said) -> Decision:
    """One member goes by themselves. Not one of two, and not the last owner."""
    user = said.actor
    if not fold.type or fold.deleted:
        return Decision("not_found")
    if user not in fold.members:
        return Decision(stranger(fold))
    if fold.type == "direct":
        return Decision("forbidden")
    if fold.members[user].role == "owner" and _owners(fold) == 1:
        return Decision("last_owner")
    return Decision(change=_leave(user))


def decide_role(fold: Fold, said: Said) -> Decision:
    """A member has another role. Only owners make owners and unmake them, and the last one stays."""
    user, role = str(said.facts["user"]), str(said.facts["role"])
    if refusal := allowed(fold, said.actor, "set_roles"):
        return Decision(refusal)
    member = fold.members.get(user)
    if member is None:
        return Decision("not_found")
    if role not in ROLES:
        return Decision("bad_request")
    if "owner" in (member.role, role) and member.role != role and (refusal := _over_owners(fold, said.actor, unmaking=role != "owner")):
        return Decision(refusal)
    return Decision(change=_promote(user, role))


def membership(tenant: str, conversation: str, user: str, member: Member | None, fold: Fold) -> Change:
    """The document that says who belongs where; none when they have left."""
    doc = None if member is None else {"user": user, "conversation": conversation, "role": member.role, "joined": member.seq, "joined_at": member.at}
    return Change(tenant, "memberships", f"{conversation}/{user}", doc, fold.place)


def join(fold: Fold, entry: Entry, rows: Iterable[tuple[str, str]]) -> Sequence[Change]:
    """They are members from this entry on: (user, role)."""
    seated = []
    for user, role in rows:
        if user not in fold.members:
            fold.members[user] = Member(role, fold.seq, entry.at, fold.joined)
            fold.joined += 1
            seated.append(user)
    return _written(fold, entry, seated)


def _leave(user: str) -> Callable[[Fold, Entry], Sequence[Change]]:
    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        member = fold.members.pop(user)
        fold.rights = fold.seq
        gone = membership(entry.tenant, entry.conversation, user, None, fold)
        return [gone, *part_changes(fold, entry.tenant, entry.conversation, (member.nth,))]

    return change


def _promote(user: str, role: str) -> Callable[[Fold, Entry], Sequence[Change]]:
    def change(fold: Fold, entry: Entry) -> Sequence[Change]:
        fold.members[user] = fold.members[user]._replace(role=role)
        return _written(fold, entry, [user])

    return change


def _written(fold: Fold, entry: Entry, users: Sequence[str]) -> Sequence[Change]:
    fold.rights = fold.seq
    rows = [membership(entry.tenant, entry.conversation, user, fold.members[user], fold) for user in users]
    return rows + part_changes(fold, entry.tenant, entry.conversation, (fold.members[user].nth for user in users))


def _owners(fold: Fold) -> int:
    return sum(member.role == "owner" for member in fold.members.values())


def _over_owners(fold: Fold, actor: str, *, unmaking: bool = True) -> str:
    """Empty when `actor` may make (or unmake) an owner: every owner may, and the application; the last owner stays one."""
    if actor and fold.members[actor].role != "owner":
        return "forbidden"
    return "last_owner" if unmaking and _owners(fold) == 1 else ""


def trim_added(fold: Fold, act: Act) -> Act | None:
    """Only those who are not there yet; nothing when all are."""
    pairs = [(user, shown) for user, shown in zip(act.facts["users"], act.body["users"], strict=True) if user not in fold.members]
    if pairs and len(pairs) == len(act.facts["users"]):
        return act
    facts, body = {**act.facts, "users": [user for user, _ in pairs]}, {**act.body, "users": [shown for _, shown in pairs]}
    return msgspec.structs.replace(act, facts=facts, body=body) if pairs else None


def trim_joined(fold: Fold, act: Act) -> Act | None:
    """Nothing when they are there."""
    return None if act.actor in fold.members else act


def trim_removed(fold: Fold, act: Act) -> Act | None:
    """Nothing when the user is not there."""
    return act if act.facts["user"] in fold.members else None


def trim_role(fold: Fold, act: Act) -> Act | None:
    """Nothing when it is their role already."""
    return None if fold.members[act.facts["user"]].role == act.facts["role"] else act


KINDS: Kinds = {
    "member.added": Kind("member.added", decide_added, trim=trim_added),
    "member.joined": Kind("member.added", decide_joined, trim=trim_joined),
    "member.removed": Kind("member.removed", decide_removed, trim=trim_removed, touches=lambda entry: Touched(ended=(entry.facts["user"],))),
    "member.left": Kind("member.removed", decide_left, touches=lambda entry: Touched(ended=(entry.actor,))),
    "member.updated": Kind("member.updated", decide_role, render_role, trim_role, touches=lambda entry: Touched(rights=(entry.facts["user"],))),
}
"""Coming and going by oneself are kinds of their own, for other rights decide about them; people see the same pushes."""
