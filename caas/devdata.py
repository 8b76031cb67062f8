"""The development set-up: application `dev`, users alice, bob and carol, a direct and a group conversation with some history.

Made through the services, as a company's backend would; made again, it changes nothing.
"""

from typing import TYPE_CHECKING, Any

import trio

from protocol.errors import Refused
from protocol.ids import derived_act, show_act
from services.applications.model import DEV
from services.scope import Scope
from services.users.model import Profile

if TYPE_CHECKING:
    from caas.wiring import Worker

USERS = {"alice": "Alice", "bob": "Bob", "carol": "Carol"}
GROUP = "lobby"
SAID = (
    ("alice", "Welcome to CAAS. This is a group; everybody here sees what you write."),
    ("bob", "And it was all here before you came: history is kept."),
    ("carol", "Try cutting a connection, write something, and connect again."),
)
GREETING = ("Hi Alice! This is a direct conversation. One tick: a message is stored for good. Two: it has reached the other's phone. "
            "Green: it was read.")
BEGAN = 1_700_000_000_000
"""Acts of the set-up are named after this moment, so that making it again repeats them."""


_TRIES, _PAUSE_S = 50, 0.1


async def make_dev_data(worker: "Worker") -> None:
    """Make what is missing."""
    await worker.applications.create("Development", "test", id=DEV)
    tenant = await worker.assembly.tenants.ready(DEV)
    scopes = {}
    for user, shown in USERS.items():
        internal, _ = await worker.assembly.users.ensure(Scope(DEV), Profile(external_id=user, display_name=shown))
        scopes[user] = Scope(DEV, internal, user)
    direct = await _call(worker, scopes["alice"], "conversation.create", type="direct", members=["bob"], op=_act(tenant.key, "direct"))
    await _say(worker, tenant.key, scopes["bob"], direct["conversation"]["id"], GREETING)
    await _call(worker, scopes["alice"], "conversation.create", type="group", id=GROUP, name="Lobby", members=list(USERS),
                op=_act(tenant.key, "group"))
    for user, text in SAID:
        await _say(worker, tenant.key, scopes[user], GROUP, text)


async def _say(worker: "Worker", key: bytes, scope: Scope, conversation: str, text: str) -> None:
    await _call(worker, scope, "message.send", c=conversation, id=_act(key, text), text=text)


async def _call(worker: "Worker", scope: Scope, command: str, /, **p: Any) -> dict[str, Any]:
    """Call a command, again while that may help: the other workers are only just starting."""
    dispatch = worker.assembly.dispatch
    for _ in range(_TRIES):
        try:
            return await dispatch.call(scope, dispatch.table[command], p)
        except Refused as refused:
            if not refused.retryable:
                raise
        await trio.sleep(_PAUSE_S)
    return await dispatch.call(scope, dispatch.table[command], p)


def _act(key: bytes, what: str) -> str:
    return show_act(derived_act(key, BEGAN, "dev", what))
