"""How things look: messages, conversations and the rest as styled text. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from zlib import crc32

from rich.text import Text

from caas_sdk.core.inbox import Row
from caas_sdk.core.message import Message
from caas_sdk.core.outputs import StateChange

COLOURS = ("#7aa2f7", "#9ece6a", "#e0af68", "#bb9af7", "#7dcfff", "#f7768e", "#73daca", "#ff9e64")
TICKS = {
    "sending": ("◌", "dim"), "failed": ("✗ not sent", "bold red"), "sent": ("✓", "dim"), "delivered": ("✓✓", "dim"), "read": ("✓✓", "bold #7dcfff"),
}
DOTS = {"online": ("●", "#9ece6a"), "away": ("●", "#e0af68"), "dnd": ("●", "#f7768e"), "offline": ("○", "dim"), "unknown": ("·", "dim")}
QUOTED = 60
"""Characters of a message that is replied to."""

Names = Callable[[str], str]


def colour_of(user: str) -> str:
    """A colour for a user, the same everywhere."""
    return COLOURS[crc32(user.encode()) % len(COLOURS)]


def day_of(message: Message) -> str:
    """The day on which a message was sent, where one is."""
    return f"{datetime.fromtimestamp(message.sent_at / 1000):%A, %-d %B %Y}"


def draw_message(message: Message, me: str, names: Names, quoted: Message | None = None, day: str = "") -> Text:
    """One message: who, when, how far it got; what it replies to; its text; who reacted. `day` stands above the first of a day."""
    text = Text().append(f"── {day} ──\n\n" if day else "", "dim")
    text.append("you" if message.sender == me else names(message.sender), f"bold {colour_of(message.sender)}")
    text.append(f"  {datetime.fromtimestamp(message.sent_at / 1000):%H:%M}", "dim")
    if message.pinned:
        text.append("  ⚑ pinned", "#e0af68")
    if message.edited_at:
        text.append("  edited", "dim italic")
    if message.sender == me and not message.deleted:
        text.append("  ").append(*TICKS[message.status])
    if message.error is not None:
        text.append(f" ({message.error.code})", "red")
    if message.reply_to:
        text.append("\n┃ " + _quoted(quoted, names), "dim")
    text.append("\n")
    text.append_text(_body(message))
    if message.reactions:
        text.append("\n")
        for emoji, one in message.reactions.items():
            text.append(f" {emoji} {one.count} ", "reverse" if one.own else "on #2a2e3f").append(" ")
    return text


def draw_row(row: Row, name: str, status: str | None, *, is_open: bool) -> Text:
    """One conversation of the list: who is there, its name, what is unread."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(*(DOTS.get(status, DOTS["unknown"]) if status is not None else ("#", "dim"))).append(" ")
    text.append(name, "bold" if row.unread or is_open else "")
    if row.unread_mentions:
        text.append(" @", "bold #e0af68")
    if row.unread:
        text.append(f" {row.unread}", "bold #7aa2f7")
    return text


def draw_typing(users: Sequence[str], names: Names) -> str:
    """Who types."""
    shown = [names(user) for user in users]
    if not shown:
        return ""
    if len(shown) > 3:
        return "several people are typing…"
    return f"{' and '.join([', '.join(shown[:-1]), shown[-1]] if shown[1:] else shown)} {'is' if len(shown) == 1 else 'are'} typing…"


def draw_state(change: StateChange) -> Text:
    """The connection, in a word or two."""
    if change.state == "connected":
        return Text("● connected", "#9ece6a")
    if change.state in ("connecting", "reconnecting"):
        soon = f", next try in {change.wait_s:.0f} s" if change.wait_s and change.wait_s >= 1 else ""
        return Text(f"◌ {change.state}" + (f" ({change.reason}{soon})" if change.reason else "…"), "#e0af68")
    return Text(f"○ {change.state.replace('_', ' ')}" + (f" ({change.reason})" if change.reason else ""), "#f7768e")


def _body(message: Message) -> Text:
    if message.deleted:
        return Text("deleted", "dim italic")
    text = Text(message.text or "")
    for attachment in message.attachments:
        text.append(f"{chr(10) if text else ''}📎 {attachment.get('name') or attachment.get('url')}", "underline")
    for user in message.mentions:
        text.highlight_words([f"@{user}"], "bold #e0af68")
    return text


def _quoted(message: Message | None, names: Names) -> str:
    if message is None:
        return "an earlier message"
    said = (message.text or "deleted").replace("\n", " ")
    return f"{names(message.sender)}: {said[:QUOTED]}{'…' if len(said) > QUOTED else ''}"
