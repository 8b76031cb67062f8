"""Who may do what in a conversation, rule by rule, at the fold."""

from typing import Any

import pytest

from protocol.errors import CODES
from services.acts import Act
from services.catalogue import KINDS
from services.checking import refusal
from services.heads import head_of
from services.rights import capabilities, named, of_application
from tests.services.log import CREATED, Log

MEMBERS = [["ua", "owner"], ["ub", "admin"], ["uc", "member"]]
GROUP = {**CREATED, "members": MEMBERS}
DIRECT = {**CREATED, "type": "direct", "members": [["ua", "owner"], ["ub", "owner"]]}


def channel(access: str) -> dict[str, Any]:
    return {**GROUP, "type": "channel", "access": access}


def trimmed(log: Log, kind: str, facts: dict[str, Any], body: dict[str, Any] | None = None, actor: str = "ua") -> Act | None:
    return KINDS[kind].trim(log.fold, Act("c", kind, b"x" * 16, b"", facts, body or {}, actor))


def documents(outcome: Any) -> dict[str, Any]:
    return {f"{change.collection}/{change.key}": change.doc for change in outcome.changes}


# The rights table: owner everything, admin who belongs, member only chats.

DOES: dict[str, tuple[str, dict[str, Any]]] = {
    "send": ("message.new", {}),
    "add_members": ("member.added", {"users": ["ux"]}),
    "remove_members": ("member.removed", {"user": "uc"}),
    "set_roles": ("member.updated", {"user": "uc", "role": "admin"}),
    "update": ("conversation.updated", {"about": {"name": "New"}}),
    "freeze": ("conversation.frozen", {"frozen": True}),
    "delete": ("conversation.deleted", {}),
}
MAY = {
    "ua": {*DOES},
    "ub": {"send", "add_members", "remove_members"},
    "uc": {"send"},
    "": {*DOES} - {"send"},
}


@pytest.mark.parametrize("actor", MAY)
@pytest.mark.parametrize("capability", DOES)
def test_the_rights_table(actor: str, capability: str) -> None:
    kind, facts = DOES[capability]
    log = Log(GROUP)
    granted = capabilities(log.fold, log.fold.members[actor].role) if actor else of_application(log.fold)
    assert (capability in granted) == (capability in MAY[actor])
    outcome = log.add(kind, actor, facts)
    assert (outcome.what, outcome.code) == (("ok", "") if capability in MAY[actor] else ("refused", "forbidden"))


@pytest.mark.parametrize("capability", DOES)
def test_a_stranger_finds_nothing(capability: str) -> None:
    kind, facts = DOES[capability]
    assert Log(GROUP).add(kind, "uz", facts).code == "not_found"
    assert Log(channel("public")).add(kind, "uz", facts).code == "not_a_member"


@pytest.mark.parametrize("actor", ["ua", "ub", ""])
@pytest.mark.parametrize("kind", ["member.added", "member.removed", "member.updated", "member.left", "conversation.deleted"])
def test_members_and_existence_of_two_cannot_be_changed(actor: str, kind: str) -> None:
    facts = {"users": ["uz"], "user": "ub", "role": "member"}
    outcome = Log(DIRECT).add(kind, actor, facts)
    assert outcome.code == ("not_found" if kind == "member.left" and not actor else "forbidden")


def test_two_people_have_no_name_but_other_things() -> None:
    log = Log(DIRECT)
    assert log.add("conversation.updated", "ub", {"about": {"name": "Us"}}).code == "bad_request"
    assert log.add("conversation.updated", "ub", {"about": {"custom": {"x": 1}, "name": None}}).what == "ok"
    assert log.fold.about == {"custom": {"x": 1}}


# Frozen.

def test_frozen_refuses_sending_to_everybody_and_nothing_else() -> None:
    log = Log(GROUP)
    log.add("conversation.frozen", "ua", {"frozen": True})
    assert [log.say(user).code for user in ("ua", "ub", "uc")] == ["frozen"] * 3
    assert named(capabilities(log.fold, "member")) == ["pin", "delete_own"]
    assert not of_application(log.fold) & {"send", "react", "edit_own", "edit_any"}
    assert log.add("member.added", "ub", {"users": ["ux"]}).what == "ok"
    assert log.add("conversation.updated", "ua", {"about": {"name": "x"}}).what == "ok"
    log.add("conversation.frozen", "ua", {"frozen": False})
    assert log.say("uc").what == "ok"


def test_freezing_twice_changes_nothing() -> None:
    log = Log(GROUP)
    assert trimmed(log, "conversation.frozen", {"frozen": False}) is None
    log.add("conversation.frozen", "ua", {"frozen": True})
    assert trimmed(log, "conversation.frozen", {"frozen": True}) is None
    assert log.add("conversation.frozen", "ua", {"frozen": 1}).code == "bad_request"


# Updating.

def test_an_update_changes_what_it_names_and_null_clears() -> None:
    log = Log({**GROUP, "about": {"name": "Old", "description": "d"}})
    outcome = log.add("conversation.updated", "ua", {"about": {"name": None, "custom": {"k": [1]}}}, at=1_700_000_000_500)
    assert log.fold.about == {"description": "d", "custom": {"k": [1]}}
    assert (log.fold.updated, outcome.seq) == (1_700_000_000_500, 2)
    assert log.add("conversation.updated", "ua", {"about": {"type": "channel"}}).code == "bad_request"


def test_only_what_differs_is_appended() -> None:
    log = Log({**GROUP, "about": {"name": "N", "custom": {"on": True, "a": 1}}})
    assert trimmed(log, "conversation.updated", {"about": {"name": "N", "photo_url": None}}) is None
    assert trimmed(log, "conversation.updated", {"about": {"custom": {"a": 1, "on": True}}}) is None
    left = trimmed(log, "conversation.updated", {"about": {"name": "N", "custom": {"on": 1, "a": 1}}})
    assert left is not None and left.facts == {"about": {"custom": {"on": 1, "a": 1}}}


# Deleting.

def test_after_the_delete_there_is_nothing_for_anybody() -> None:
    log = Log(GROUP)
    outcome = log.add("conversation.deleted", "ua")
    assert set(documents(outcome).values()) == {None}
    assert set(documents(outcome)) == {f"memberships/c/{user}" for user in ("ua", "ub", "uc")}
    assert KINDS["conversation.deleted"].touches(log.entries[-1][0]).ends("anybody")
    for kind, facts in DOES.values():
        assert log.add(kind, "ua", facts).code == "not_found"
    for kind in ("member.left", "member.joined"):
        assert log.add(kind, "ua", {"user": "ua", "users": ["ua"]}).code == "not_found"
    assert log.add("conversation.created", "ua", GROUP).code == "id_conflict"


# Coming and going.

@pytest.mark.parametrize(("created", "code"), [(GROUP, "not_found"), (DIRECT, "not_found"), (channel("private"), "not_found"),
                                               (channel("public"), ""), (channel("broadcast"), "")])
def test_one_joins_only_what_may_be_seen(created: dict[str, Any], code: str) -> None:
    log = Log(created)
    assert log.add("member.joined", "uz", {"users": ["uz"]}).code == code
    assert ("uz" in log.fold.members) == (not code)
    assert trimmed(log, "member.joined", {"users": ["ua"]}) is None


def test_whoever_joins_is_a_member_even_as_the_first() -> None:
    log = Log({**channel("broadcast"), "members": []})
    log.add("member.joined", "uz", {"users": ["uz"]})
    assert log.fold.members["uz"].role == "member"
    assert log.add("member.joined", "", {"users": []}).code == "not_found"


def test_in_a_broadcast_channel_only_owners_and_admins_send() -> None:
    log = Log(channel("broadcast"))
    assert [log.say(user).code for user in ("ua", "ub", "uc")] == ["", "", "forbidden"]
    assert "send" not in capabilities(log.fold, "member") and "react" in capabilities(log.fold, "member")


def test_everybody_may_leave_but_the_last_owner() -> None:
    log = Log(GROUP)
    assert log.add("member.left", "ua", {"user": "ua"}).code == "last_owner"
    assert log.add("member.left", "uc", {"user": "uc"}).what == "ok"
    assert log.add("member.left", "uc", {"user": "uc"}).code == "not_found"
    assert KINDS["member.left"].touches(log.entries[1][0]).ended == ("ua",)
    log.add("member.updated", "ua", {"user": "ub", "role": "owner"})
    assert log.add("member.left", "ua", {"user": "ua"}).what == "ok"
    assert {user: member.role for user, member in log.fold.members.items()} == {"ub": "owner"}


# Roles.

def test_only_owners_make_and_unmake_owners() -> None:
    log = Log({**GROUP, "members": [*MEMBERS, ["ud", "owner"]]})
    assert log.add("member.removed", "ub", {"user": "ud"}).code == "forbidden"
    assert log.add("member.updated", "ub", {"user": "ud", "role": "member"}).code == "forbidden"
    assert log.add("member.updated", "ua", {"user": "ud", "role": "member"}).what == "ok"
    assert log.add("member.updated", "ua", {"user": "ua", "role": "admin"}).code == "last_owner"
    assert log.add("member.updated", "", {"user": "ua", "role": "admin"}).code == "last_owner"
    assert log.add("member.updated", "", {"user": "uc", "role": "owner"}).what == "ok"
    assert log.add("member.removed", "", {"user": "ua"}).what == "ok"


def test_a_role_that_there_is_not_and_a_member_that_there_is_not() -> None:
    log = Log(GROUP)
    assert log.add("member.updated", "ua", {"user": "uc", "role": "king"}).code == "bad_request"
    assert log.add("member.updated", "ua", {"user": "uz", "role": "admin"}).code == "not_found"
    assert trimmed(log, "member.updated", {"user": "uc", "role": "member"}) is None


def test_a_role_is_written_down_with_the_member() -> None:
    log = Log(GROUP)
    outcome = log.add("member.updated", "ua", {"user": "uc", "role": "admin"})
    assert documents(outcome)["memberships/c/uc"]["role"] == "admin"
    assert ("uc", "admin", 1, 1_700_000_000_000, 2) in documents(outcome)["parts/c/000000"]["members"]
    assert head_of(log.fold)["rights"] == 2
    assert KINDS["member.updated"].touches(log.entries[-1][0]).rights == ("uc",)


def test_every_refusal_of_the_fold_is_a_code_of_the_table() -> None:
    for code in ("last_owner", "forbidden", "frozen", "too_large", "not_found", "not_a_member", "bad_request"):
        assert refusal(code, "member.update").code in CODES
    assert "member.update" in refusal("last_owner", "member.left").message
