"""What commands answer: the `r` of each. `duplicate`: it was a repeat, and this is its first answer; `unchanged`: there was nothing to do."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from protocol.errors import CODES
from protocol.events import Entry
from protocol.shapes import (
    At,
    Capability,
    Conversation,
    ConversationId,
    Edit,
    Epoch,
    Member,
    Message,
    MessageId,
    Nth,
    Presence,
    Range,
    Resumed,
    Seq,
    Shape,
    Size,
    User,
    Watched,
)

Flag = bool | UnsetType
Cursor = Annotated[str, Meta(title="cursor", description="For `cursor`; none: the end.")]


class Nothing(Shape, frozen=True):
    """It was done; there is nothing to say."""


class Done(Shape, frozen=True):
    """The place that the act took; with `unchanged`, the head."""

    seq: Seq
    duplicate: Flag = UNSET
    unchanged: Flag = UNSET


class Sent(Shape, frozen=True):
    """The message is durable, at this place. Replies in threads have no `n`."""

    id: MessageId
    seq: Seq
    sent_at: At
    n: Nth | UnsetType = UNSET
    duplicate: Flag = UNSET


class Edited(Shape, frozen=True):
    """The edit is durable, at this place."""

    seq: Seq
    edited_at: At
    duplicate: Flag = UNSET
    unchanged: Flag = UNSET


class ConversationMade(Shape, frozen=True):
    """The conversation as it is now."""

    conversation: Conversation
    duplicate: Flag = UNSET
    unchanged: Flag = UNSET


class ConversationSeen(Shape, frozen=True):
    """A conversation, and what the reader may do in it. No `role`: the application itself reads."""

    conversation: Conversation
    capabilities: list[Capability]
    role: str | UnsetType = UNSET


class ConversationWatched(Watched, frozen=True, kw_only=True):
    """A conversation, what the reader may do in it, and what will be pushed."""

    conversation: Conversation
    capabilities: list[Capability]
    role: str | UnsetType = UNSET


class ConversationRow(Shape, frozen=True):
    """A conversation in one's list: how far one has read, and what is new. `unread` = `last_n` - the larger of `read_n` and `own_n`."""

    conversation: Conversation
    role: str
    read_seq: Seq
    read_n: Nth
    last_n: Nth
    own_n: Nth
    unread: Size
    unread_mentions: Size
    last_message: Message | UnsetType = UNSET
    muted_until: At | UnsetType = UNSET
    pinned: Flag = UNSET
    archived: Flag = UNSET


class ConversationPage(Shape, frozen=True):
    """Conversations, latest activity first."""

    items: list[ConversationRow]
    next: Cursor | UnsetType = UNSET


class Synced(Shape, frozen=True):
    """What happened, in order; `more`: ask again after the last one. `gap`: retention has removed these, or the epoch is another one."""

    entries: list[Entry]
    head: Seq
    epoch: Epoch
    more: bool
    gap: Range | UnsetType = UNSET


class MemberPage(Shape, frozen=True):
    """Members, in order of joining."""

    items: list[Member]
    next: Cursor | UnsetType = UNSET


class MessagePage(Shape, frozen=True):
    """Messages, oldest first. `prev` is for `before`, `next` for `after`; absent: there is nothing there."""

    items: list[Message]
    prev: Seq | UnsetType = UNSET
    next: Seq | UnsetType = UNSET


class MessageSeen(Shape, frozen=True):
    """A message, and its earlier texts, oldest first."""

    message: Message
    edits: list[Edit]


class PresenceSet(Shape, frozen=True):
    """It holds until it is set again."""

    duplicate: Flag = UNSET
    unchanged: Flag = UNSET


class PresenceList(Shape, frozen=True):
    """Whether each of the users is there."""

    items: list[Presence]


class UserList(Shape, frozen=True):
    """Users; unknown ones are left out."""

    items: list[User]


class BlockRow(Shape, frozen=True):
    """Somebody whom the reader blocks, and since when."""

    user: User
    blocked_at: At


class BlockPage(Shape, frozen=True):
    """Whom the reader blocks, the latest first."""

    items: list[BlockRow]
    next: Cursor | UnsetType = UNSET


class UserPage(Shape, frozen=True):
    """Users of the application."""

    items: list[User]
    next: Cursor | UnsetType = UNSET


class UserSeen(Shape, frozen=True):
    """A user."""

    user: User


class UserChanged(Shape, frozen=True):
    """The user after the change."""

    user: User
    duplicate: Flag = UNSET
    unchanged: Flag = UNSET


class UserPut(UserChanged, frozen=True, kw_only=True):
    """The user after the change; `created`: there was none before."""

    created: bool


class Welcome(Shape, frozen=True):
    """The answer to `hello`. `conversations` holds just those named in `resume`."""

    protocol: str
    session: str
    user: User
    server_time: At
    heartbeat_s: Size
    limits: Annotated[dict[str, Size], Meta(description="By name.")]
    me: Watched
    conversations: dict[ConversationId, Resumed]


class TokenTaken(Shape, frozen=True):
    """Until when the connection's token is valid."""

    expires_at: At


class SessionMade(Shape, frozen=True):
    """A session: the user's token, and what makes the next one."""

    token: str
    refresh_token: str
    expires_at: At
    user: User


class Health(Shape, frozen=True):
    """How the server is: `alive`, `ready`, `not ready`."""

    status: str


class RateSeen(Shape, frozen=True):
    """A token bucket: `burst` commands at once, `per_s` a second in the long run."""

    per_s: Annotated[float, Meta(gt=0)]
    burst: Size
    used: Size
    remaining: Size


class LimitsSeen(Shape, frozen=True):
    """By class of command. Not `enforced`: the server was started with its rates lifted."""

    enforced: bool
    caller: Annotated[dict[str, RateSeen], Meta(description="The user; with a secret key, the application.")]
    tenant: Annotated[dict[str, RateSeen], Meta(description="All users of the application, and the application, together.")]


class TokenKey(Shape, frozen=True):
    """A key that the application signs user tokens with by itself; `id` is the `kid` of its tokens."""

    id: str
    algorithm: Literal["EdDSA", "ES256", "RS256"]
    fingerprint: str
    created_at: At
    name: str | UnsetType = UNSET
    last_used_at: At | UnsetType = UNSET


class TokenKeyMade(Shape, frozen=True):
    """The key as it is registered."""

    key: TokenKey
    unchanged: Flag = UNSET


class TokenKeyList(Shape, frozen=True):
    """The application's keys, oldest first."""

    items: list[TokenKey]


class Limit(Shape, frozen=True):
    """The limit that was met."""

    name: str
    max: Size
    got: Size


Code = Annotated[str, Meta(title="code", description="What went wrong, for programs.", extra_json_schema={"enum": list(CODES)})]


class ErrorBody(Shape, frozen=True):
    """Why not. `retryable`: sending the same again, with the same id, may succeed; `field` is a dotted path."""

    code: Code
    message: Annotated[str, Meta(description="What to do, for people.")]
    retryable: bool
    request_id: str
    retry_after_ms: Size | UnsetType = UNSET
    field: str | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET


class Problem(ErrorBody, frozen=True, kw_only=True):
    """Why not, as RFC 9457 has it."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
