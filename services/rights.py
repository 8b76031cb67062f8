"""Roles and capabilities: one table, read by the fold, by early checks and by the replies that tell a client what it may do."""

from functools import lru_cache

from services.deciding import Fold

CAPABILITIES = ("send", "react", "pin", "edit_own", "edit_any", "delete_own", "delete_any", "update", "add_members", "remove_members",
                "set_roles", "freeze", "delete")

_MEMBER = frozenset({"send", "react", "edit_own", "delete_own", "pin"})
_ADMIN = _MEMBER | {"add_members", "remove_members"}
_OWNER = frozenset(CAPABILITIES)
ROLES = {"owner": _OWNER, "admin": _ADMIN, "member": _MEMBER}

_NOT_IN_DIRECT = frozenset({"add_members", "remove_members", "set_roles", "delete"})
_NOT_WHEN_FROZEN = frozenset({"send", "react", "edit_own", "edit_any"})


def allowed(fold: Fold, user: str, capability: str) -> str:
    """Empty when this user may; otherwise the code that says why not. The application (no user) may do all but send."""
    if not fold.type or fold.deleted:
        return "not_found"
    if user and user not in fold.members:
        return stranger(fold)
    if fold.frozen and capability in _NOT_WHEN_FROZEN:
        return "frozen"
    return "" if capability in (capabilities(fold, fold.members[user].role) if user else of_application(fold)) else "forbidden"


def stranger(fold: Fold) -> str:
    """What somebody who is not a member is told: that there is nothing, unless its existence may be seen."""
    return "not_a_member" if fold.access in ("public", "broadcast") else "not_found"


def capabilities(fold: Fold, role: str) -> frozenset[str]:
    """What a role may do here, as things stand."""
    return _granted(fold.type, fold.access, fold.frozen, role)


def of_application(fold: Fold) -> frozenset[str]:
    """What the application itself may do here: what an owner may, but for sending."""
    return capabilities(fold, "owner") - {"send"}


def named(granted: frozenset[str]) -> list[str]:
    """Capabilities as the wire lists them."""
    return [name for name in CAPABILITIES if name in granted]


@lru_cache(maxsize=256)
def _granted(kind: str, access: str, frozen: bool, role: str) -> frozenset[str]:
    granted = ROLES.get(role, _MEMBER)
    if kind == "direct":
        granted -= _NOT_IN_DIRECT
    if access == "broadcast" and role not in ("owner", "admin"):
        granted -= {"send"}
    return granted - _NOT_WHEN_FROZEN if frozen else granted
