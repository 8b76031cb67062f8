"""What people say to the client: `client.messages.send("lobby", "Hello")`. Each verb is a command of the protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from caas_sdk.core.inbox import Row
from caas_sdk.core.letters import placed
from caas_sdk.core.message import Message, from_wire
from caas_sdk.core.room import Room
from caas_sdk.core.typing import Typer

if TYPE_CHECKING:
    from caas_sdk.client import Client

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, oldest first; `prev` and `next` are for `before` and `after`, None at an end."""

    items: list[Message]
    prev: int | None = None
    next: int | None = None


def given(**p: Any) -> Json:
    """What is not None."""
    return {name: value for name, value in p.items() if value is not None}


class _Verbs:
    def __init__(self, client: "Client") -> None:
        self._client = client


class Messages(_Verbs):
    """Messages. `content` is any field of `message.send`: type, attachments, mentions, mention_all, reply_to, thread, custom, silent."""

    async def send(self, c: str, text: str | None = None, *, timeout_s: float | None = None, **content: Any) -> Message:
        """Send a message, and wait until it is durable. When that takes too long it is sent all the same."""
        call = self._client.begin("message.send", given(c=c, text=text, **content))
        return placed(call, await self._client.answer(call, timeout_s), self._client.user_id)

    def post(self, c: str, text: str | None = None, **content: Any) -> Message:
        """Send a message and do not wait: it is shown as `sending` at once; `changed` and `failed` tell what becomes of it."""
        call = self._client.begin("message.send", given(c=c, text=text, **content))
        return next(one for one in self._client.core.state.letters.of(c, self._client.user_id) if one.id == call.p["id"])

    def retry(self, id_: str) -> None:
        """Send a failed message again, under the same id."""
        self._client.core.retry(id_, self._client.now())
        self._client.pump()

    def discard(self, id_: str) -> None:
        """Give a failed message up."""
        self._client.core.discard(id_)
        self._client.pump()

    def shown(self, c: str, *, thread: str | None = None) -> list[Message]:
        """What is to be shown of a conversation that is open, or of a thread in it: oldest first, then what is not sent yet."""
        return self._client.core.state.show(c, thread)

    async def list(self, c: str, *, before: int | None = None, after: int | None = None, around: int | None = None, thread: str | None = None,
                   limit: int | None = None) -> Page:
        """A page of history: the latest, or at a seq."""
        p = given(before=before, after=after, around=around, thread=thread, limit=limit)
        r = await self._client.call("message.list", c=c, **p)
        return Page([from_wire(c, item, self._client.user_id) for item in r["items"]], r.get("prev"), r.get("next"))

    async def earlier(self, c: str) -> bool:
        """Load what is before what is shown. Whether there was anything."""
        prev = self._client.rooms[c].timeline.prev
        return prev is not None and bool((await self.list(c, before=prev)).items)

    async def get(self, c: str, id_: str) -> tuple[Message, Sequence[Json]]:
        """A message as it is now, and its earlier texts."""
        r = await self._client.call("message.get", c=c, id=id_)
        return from_wire(c, r["message"], self._client.user_id), r.get("edits", [])

    async def edit(self, c: str, id_: str, text: str | None = None, **content: Any) -> Json:
        """Change a message: its text, or any other field; None clears a field other than the text."""
        return await self._client.call("message.edit", c=c, id=id_, **given(text=text), **content)

    async def delete(self, c: str, id_: str, *, whom: Literal["all", "me"] = "all") -> Json:
        """Delete a message, for everybody or for oneself."""
        p: Json = {"for": whom}
        return await self._client.call("message.delete", c=c, id=id_, **p)

    async def react(self, c: str, id_: str, emoji: str) -> Json:
        """React to a message."""
        return await self._client.call("reaction.add", c=c, id=id_, emoji=emoji)

    async def unreact(self, c: str, id_: str, emoji: str) -> Json:
        """Take a reaction back."""
        return await self._client.call("reaction.remove", c=c, id=id_, emoji=emoji)

    async def pin(self, c: str, id_: str) -> Json:
        """Pin a message."""
        return await self._client.call("message.pin", c=c, id=id_)

    async def unpin(self, c: str, id_: str) -> Json:
        """Unpin a message."""
        return await self._client.call("message.unpin", c=c, id=id_)


class Conversations(_Verbs):
    """Conversations and their members."""

    async def open(self, c: str) -> Room:
        """Watch a conversation and load the latest of its history. It stays open over reconnects until `close`."""
        await self._client.call("conversation.watch", c=c)
        if not self._client.rooms[c].timeline.loaded:
            await self._client.call("message.list", c=c)
        return self._client.rooms[c]

    async def close(self, c: str) -> None:
        """Watch it no more, and forget what was in it."""
        call = self._client.core.unwatch(c, self._client.now())
        self._client.pump()
        await self._client.answer(call)

    async def direct(self, user: str) -> str:
        """The id of the conversation with somebody, which is made where there is none."""
        made = await self._client.call("conversation.create", type="direct", members=[user])
        return str(made["conversation"]["id"])

    async def create(self, id_: str | None = None, *, type: str = "group", members: Sequence[str] = (), **about: Any) -> Json:
        """Begin a conversation."""
        made: Json = await self._client.call("conversation.create", **given(id=id_), type=type, members=[*members], **about)
        return dict(made["conversation"])

    async def load(self, *, most: int = 100) -> list[Row]:
        """Load the list of one's conversations, so many at most; from now on `rows` keeps up with it."""
        page = await self._client.call("conversation.list", limit=min(most, 100))
        while "next" in page and len(self.rows()) < most:
            page = await self._client.call("conversation.list", limit=100, cursor=page["next"])
        return self.rows()

    def rows(self) -> list[Row]:
        """The list as it is now: latest activity first."""
        return self._client.core.state.inbox.sorted()

    async def get(self, c: str) -> Json:
        """A conversation, one's role and capabilities."""
        return await self._client.call("conversation.get", c=c)

    async def update(self, c: str, **changes: Any) -> Json:
        """Change its name, description, photo_url or custom."""
        return await self._client.call("conversation.update", c=c, **changes)

    async def freeze(self, c: str, *, frozen: bool = True) -> Json:
        """Let nobody write for now, or again."""
        return await self._client.call("conversation.freeze", c=c, frozen=frozen)

    async def join(self, c: str) -> Json:
        """Become a member."""
        return await self._client.call("conversation.join", c=c)

    async def leave(self, c: str) -> Json:
        """Be no member any more."""
        return await self._client.call("conversation.leave", c=c)

    async def delete(self, c: str) -> Json:
        """End it for everybody."""
        return await self._client.call("conversation.delete", c=c)

    async def add(self, c: str, *users: str) -> Json:
        """Let users in."""
        return await self._client.call("member.add", c=c, users=[*users])

    async def remove(self, c: str, user: str) -> Json:
        """Show a user out."""
        return await self._client.call("member.remove", c=c, user=user)

    async def set_role(self, c: str, user: str, role: str) -> Json:
        """Make somebody owner, admin or member."""
        return await self._client.call("member.update", c=c, user=user, role=role)

    async def members(self, c: str, *, cursor: str | None = None, limit: int | None = None) -> Json:
        """A page of members: `{items, next?}`."""
        return await self._client.call("member.list", c=c, **given(cursor=cursor, limit=limit))

    def mark_read(self, c: str, seq: int | None = None) -> None:
        """One has read up to a place; to the end of what is shown, where none is given. It is told within a second."""
        room = self._client.rooms.get(c)
        if seq is None and room is not None:
            seq = max((message.seq for message in room.timeline.all()), default=0)
        self._client.core.mark_read(c, seq or 0, self._client.now())
        self._client.pump()


class Users(_Verbs):
    """Users."""

    async def get(self, *users: str) -> list[Json]:
        """Those of them that exist."""
        items: list[Json] = (await self._client.call("user.get", users=[*users]))["items"]
        return items

    async def update(self, **changes: Any) -> Json:
        """Change one's own display_name, avatar_url or custom."""
        return await self._client.call("user.update", **changes)

    async def block(self, user: str) -> Json:
        """Take no more from somebody in the conversation of two."""
        return await self._client.call("user.block", user=user)

    async def unblock(self, user: str) -> Json:
        """Take it again."""
        return await self._client.call("user.unblock", user=user)


class Presence(_Verbs):
    """Who is there."""

    async def set(self, status: Literal["online", "away", "dnd", "invisible"], text: str | None = None) -> None:
        """What others see of oneself, until it is set again."""
        await self._client.call("presence.set", status=status, **given(text=text))

    async def watch(self, *users: str) -> None:
        """Be told of these users, on every connection to come."""
        await self._client.call("presence.watch", users=[*users])

    async def unwatch(self, *users: str) -> None:
        """Be told no more."""
        await self._client.call("presence.unwatch", users=[*users])

    def of(self, user: str) -> str:
        """The status of somebody who is watched; `unknown` for others."""
        return str(self._client.core.state.presence.get(user, {}).get("status", "unknown"))


class Typing(_Verbs):
    """Who types."""

    def key(self, c: str, *, thread: str | None = None, kind: str = "text") -> None:
        """To be called for every key: what has to be said of it, and when, is seen to."""
        self._client.core.key((c, thread, kind), self._client.now())
        self._client.pump()

    def stop(self, c: str, *, thread: str | None = None, kind: str = "text") -> None:
        """The input is empty again."""
        self._client.core.stop_typing((c, thread, kind), self._client.now())
        self._client.pump()

    def who(self, c: str) -> list[Typer]:
        """Who types in a conversation that is open."""
        room = self._client.rooms.get(c)
        return [] if room is None else room.typers.all()
