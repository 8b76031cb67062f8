"""A server of one conversation, as plain as can be: what the SDK's list is compared with.

It keeps whole sets where the wire shows five users, counts where the wire gives hints, and answers from its state as it is at that moment.
"""

from typing import Any

from caas_sdk import codec

START_MS = 1_700_000_000_000
Json = dict[str, Any]
USERS = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")


class Server:
    """Conversation `c` with all users in it, and alice's personal conversation."""

    def __init__(self) -> None:
        self.messages: dict[str, Json] = {}
        self.entries: list[Json] = []
        self.personal: list[Json] = []
        self.hidden: set[str] = set()
        self.read_seq = 0
        self.epoch = 1
        self._made = 0

    # --- acts

    def send(self, user: str, text: str, id_: str = "", thread: str | None = None) -> Json:
        """The reply to `message.send`."""
        self._made += 1
        id_ = id_ or f"018bcfe5-6800-7000-9000-{self._made:012x}"
        if id_ in self.messages:
            return self._placed(self.messages[id_]) | {"duplicate": True}
        n = {} if thread else {"n": sum("n" in one for one in self.messages.values()) + 1}
        at = self._at()
        told = {"id": id_, "seq": len(self.entries) + 1, **n, "sender": user, "type": "text", "text": text, "sent_at": at}
        told |= {"thread": thread} if thread else {}
        self.messages[id_] = told | {"reactions": {}}
        self._append("message.new", told)
        return self._placed(told)

    def edit(self, id_: str, text: str) -> None:
        if "deleted_at" not in self.messages[id_]:
            self.messages[id_] |= {"text": text, "edited_at": self._at()}
        self._append("message.updated", {"id": id_, "by": "bob", "edited_at": self._at(), "text": text})

    def delete(self, id_: str) -> None:
        message = self.messages[id_]
        if "deleted_at" not in message:
            kept = {key: message[key] for key in ("id", "seq", "n", "sender", "type", "thread", "sent_at") if key in message}
            self.messages[id_] = {**kept, "deleted_at": self._at(), "reactions": {}}
        self._append("message.deleted", {"id": id_, "by": "bob"})

    def react(self, id_: str, user: str, emoji: str, *, hint: bool) -> None:
        users = self.messages[id_]["reactions"].setdefault(emoji, [])
        if user not in users and "deleted_at" not in self.messages[id_]:
            users.append(user)
        self._append("reaction.added", {"id": id_, "emoji": emoji, "user": user, **({"count": len(users)} if hint else {})})

    def unreact(self, id_: str, user: str, emoji: str, *, hint: bool) -> None:
        users = self.messages[id_]["reactions"].get(emoji, [])
        if user in users:
            users.remove(user)
            self._append("reaction.removed", {"id": id_, "emoji": emoji, "user": user, **({"count": len(users)} if hint else {})})

    def pin(self, id_: str, *, pinned: bool) -> None:
        if "deleted_at" not in self.messages[id_]:
            self.messages[id_]["pinned"] = pinned
        self._append("message.pinned" if pinned else "message.unpinned", {"id": id_, "by": "bob"})

    def hide(self, id_: str) -> None:
        self.hidden.add(id_)
        self.personal.append({"t": "message.hidden", "c": "me", "s": len(self.personal) + 1, "at": START_MS, "p": {"conversation": "c", "id": id_}})

    def read(self, seq: int) -> None:
        """Alice read, on some device."""
        if seq > self.read_seq:
            self.read_seq = seq
            self.personal.append({"t": "read.moved", "c": "me", "s": len(self.personal) + 1, "at": START_MS, "p": {"conversations": {"c": seq}}})

    # --- answers

    def answer(self, m: str, p: Json) -> Json:
        """What a command is answered with."""
        if m == "message.send":
            return self.send("alice", p["text"], p["id"], p.get("thread"))
        if m == "message.list":
            return self._page(p)
        if m == "message.get":
            return {"message": self._shown(self.messages[p["id"]]), "edits": []}
        if m == "conversation.sync":
            entries = self.personal if p["c"] == "me" else self._replay()
            return {"entries": entries[p["after"] : p["after"] + 3], "head": len(entries), "epoch": self.epoch, "more": len(entries) > p["after"] + 3}
        if m == "conversation.list":
            return {"items": [self.row()]}
        if m == "message.read":
            self.read(p["seq"])
        return {}

    def watched(self, after: int | None) -> Json:
        head = len(self.entries)
        missed = {"from": after + 1, "to": head} if after is not None and after < head else {}
        return {"conversation": {"id": "c", "type": "group", "head": head}, "role": "member", "capabilities": [], "head": head, "epoch": self.epoch,
                "read": {}, "delivered": {}, **missed}

    def row(self) -> Json:
        placed = [message for message in self.messages.values() if "n" in message]
        last_n = max((message["n"] for message in placed), default=0)
        own_n = max((message["n"] for message in placed if message["sender"] == "alice"), default=0)
        read_n = max((message["n"] for message in placed if message["seq"] <= self.read_seq), default=0)
        last = {"last_message": self._shown(placed[-1])} if placed else {}
        return {"conversation": {"id": "c", "type": "group", "created_at": START_MS}, "role": "member", "read_seq": self.read_seq, "read_n": read_n,
                "last_n": last_n, "own_n": own_n, "unread": max(0, last_n - max(read_n, own_n)), "unread_mentions": 0, **last}

    def replay(self, after: int) -> list[Json]:
        """The entries after a seq, as a resume tells them."""
        return self._replay()[after:]

    def listed(self) -> list[Json]:
        """The whole conversation, as `message.list` shows it to alice."""
        return [self._shown(one) for one in self.messages.values() if "thread" not in one and one["id"] not in self.hidden]

    def _replay(self) -> list[Json]:
        told: list[Json] = []
        for entry in self.entries:
            deleted = "deleted_at" in self.messages[entry["p"]["id"]]
            if entry["t"] == "message.new" and deleted:
                told.append({**entry, "p": self._shown(self.messages[entry["p"]["id"]])})
            elif entry["t"] == "message.updated" and deleted:
                told.append({"t": "skip", "c": "c", "s": entry["s"]})
            else:
                told.append(entry)
        return told

    def _page(self, p: Json) -> Json:
        before = p.get("before", 2**53)
        items = [one for one in self.listed() if one["seq"] < before]
        size = 4
        return {"items": items[-size:], **({"prev": items[-size]["seq"]} if len(items) > size else {})}

    def _shown(self, message: Json) -> Json:
        shown = {key: value for key, value in message.items() if key not in ("reactions", "pinned")}
        if message.get("pinned"):
            shown["pinned"] = True
        reactions = {emoji: {"count": len(users), "users": users[:5], **({"own": True} if "alice" in users else {})}
                     for emoji, users in message["reactions"].items() if users}
        return shown | ({"reactions": reactions} if reactions else {})

    def _append(self, t: str, p: Json) -> None:
        self.entries.append({"t": t, "c": "c", "s": len(self.entries) + 1, "at": self._at(), "p": p})

    def _placed(self, message: Json) -> Json:
        return {key: message[key] for key in ("id", "seq", "n", "sent_at") if key in message}

    def _at(self) -> int:
        return START_MS + len(self.entries) * 1_000


def encoded(frame: Json) -> bytes:
    return codec.encode(frame)
