"""What the answers to commands tell, each taken in by a rule of its own. Pure."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from caas_sdk.core.outbox import Call

if TYPE_CHECKING:
    from caas_sdk.core.state import State

Rule = Callable[["State", Call, Mapping[str, Any]], None]


def _watched(state: "State", call: Call, r: Mapping[str, Any]) -> None:
    c = call.p["c"]
    if c in state.rooms and state.rooms[c].stream.seq is None:
        state.rooms[c].begun_i = call.i
    state.watching_told(c, r)


def _listed_messages(state: "State", call: Call, r: Mapping[str, Any]) -> None:
    room = state.rooms.get(call.p["c"])
    if room is None:
        return
    if room.stream.seq is None or call.i < room.begun_i:
        room.wants_page = room.wants_page or room.stream.seq is None
        return
    timeline = room.timeline
    if "thread" in call.p:
        timeline.absorb(r["items"])
    elif "around" not in call.p and "after" not in call.p and ("before" not in call.p or call.p["before"] == timeline.prev):
        timeline.take_page(r["items"], r.get("prev"), earlier="before" in call.p)
        room.wants_page = room.wants_page and "before" in call.p
    for item in r["items"]:
        if item.get("sender") == state.me and state.letters.get(item["id"]) is not None:
            state.told_back(item, item["seq"])
    others = [item["seq"] for item in r["items"] if item.get("sender") != state.me]
    if others and "before" not in call.p:
        state.pointers.move("message.delivered", call.p["c"], max(others))
    state.ask_incomplete(room)
    state.touch(call.p["c"])


def _listed_conversations(state: "State", call: Call, r: Mapping[str, Any]) -> None:
    state.inbox.take_page(r["items"])
    for item in r["items"]:
        last = item.get("last_message")
        if last and item.get("unread") and last.get("sender") != state.me:
            state.pointers.move("message.delivered", item["conversation"]["id"], last["seq"])
    state.touch("")


def _described(state: "State", call: Call, r: Mapping[str, Any]) -> None:
    if call.p["c"] in state.rooms:
        state.rooms[call.p["c"]].describe(r)
        state.touch(call.p["c"])


def _presence(state: "State", call: Call, r: Mapping[str, Any]) -> None:
    state.watching |= dict.fromkeys(call.p["users"])
    state.presence |= {item["user"]: dict(item) for item in r["items"]}
    state.touch("")


def _presence_ended(state: "State", call: Call, r: Mapping[str, Any]) -> None:
    for user in call.p["users"]:
        state.watching.pop(user, None)
        state.presence.pop(user, None)


RESULTS: dict[str, Rule] = {
    "conversation.watch": _watched, "message.list": _listed_messages,
    "conversation.list": _listed_conversations, "conversation.get": _described,
    "presence.watch": _presence, "presence.unwatch": _presence_ended,
}
