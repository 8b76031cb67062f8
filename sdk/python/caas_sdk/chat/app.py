"""The terminal client: conversations on the left, messages on the right, a line to write in, and what the keys do at the bottom."""

from collections.abc import Awaitable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from caas_sdk import aio
from caas_sdk.chat import commands, drawing
from caas_sdk.chat.bubbles import Bubbles
from caas_sdk.chat.look import LOOK
from caas_sdk.chat.people import People
from caas_sdk.chat.picker import Picker
from caas_sdk.client import Client, Token
from caas_sdk.core.message import Message
from caas_sdk.core.outputs import Changed, StateChange
from caas_sdk.errors import CaasError, Disconnected, TimedOut

_SOON_S = 0.03
"""Changes are gathered for so long before the screen is drawn again."""


class Write(Input):
    """The line to write in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.choose", "Messages"),
        Binding("tab", "app.focus_next", "Chats"),
        Binding("escape", "app.never_mind", "Never mind"),
    ]


class Chat(App[None]):
    """One user's terminal."""

    CSS = LOOK
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", priority=True),
        Binding("ctrl+down,f8", "step(1)", "Next chat", priority=True, key_display="^↓"),
        Binding("ctrl+up,f7", "step(-1)", "Previous chat", priority=True, key_display="^↑"),
    ]

    def __init__(self, url: str, user: str, token: Token, *, peer: str | None = None, conversation: str | None = None) -> None:
        super().__init__()
        self._url, self._user, self._token, self._first = url, user, token, (peer, conversation)
        self.client: Client
        self.people: People
        self.here = ""
        """The conversation that is open."""
        self.farewell = ""
        """Why it ended, where it was not the user's wish."""
        self._state = StateChange("connecting", "")
        self._reply: Message | None = None
        self._edit: Message | None = None
        self._dirty = self._begun = False
        self._looked_at = True

    def compose(self) -> ComposeResult:
        """What is on the screen."""
        with Horizontal(id="top"):
            yield Static(id="title", markup=False)
            yield Static(id="state", markup=False)
        with Horizontal():
            yield OptionList(id="rows")
            with Vertical():
                yield Bubbles(id="bubbles")
                yield Static(id="typing", markup=False)
                yield Static(id="about", markup=False)
                yield Write(id="write", placeholder="Write a message; /help lists commands", select_on_focus=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin: connect, and write."""
        self.query_one("#write").focus()
        self.run_worker(self._live(), exit_on_error=True)

    # --- living

    async def _live(self) -> None:
        try:
            async with aio.connect(self._url, self._token, device={"id": f"caas-chat-{self._user}", "platform": "terminal"}) as client:
                await self._begin(client)
                await client.until(lambda: client.state in ("disconnected", "auth_failed"), float("inf"))
                self.farewell = f"The connection has ended: {client.core.connection.reason}."
        except (Disconnected, TimedOut, CaasError) as error:
            self.farewell = f"Not connected: {error}."
        self.exit()

    async def _begin(self, client: Client) -> None:
        self.client, self.people = client, People(client)
        client.on("state", self._on_state)
        client.on("changed", self._on_changed)
        self._state = StateChange(client.state, "")
        rows = await client.conversations.load()
        self._begun = True
        await self.people.learn({self._user})
        await self.people.meet(rows)
        peer, conversation = self._first
        if peer:
            conversation = await client.conversations.direct(peer)
        if conversation or rows:
            await self.open(conversation or rows[0].id)
        self.draw_soon()

    def _on_state(self, change: StateChange) -> None:
        self._state = change
        self.draw_soon()

    def _on_changed(self, _: Changed) -> None:
        self.draw_soon()

    async def open(self, c: str) -> None:
        """Show a conversation; the one before is closed."""
        before, self.here = self.here, c
        self._reply = self._edit = None
        try:
            await self.client.conversations.open(c)
        except CaasError as error:
            self.tell(f"{c}: {error}")
        if before and before != c:
            await self.client.conversations.close(before)
        self.query_one("#write").focus()
        self.draw_soon()

    # --- drawing

    def draw_soon(self) -> None:
        """Something has changed."""
        if not self._dirty:
            self._dirty = True
            self.set_timer(_SOON_S, self._draw)

    async def _draw(self) -> None:
        self._dirty = False
        if not self._begun:
            return
        self._draw_top()
        self._draw_rows()
        messages = self.client.messages.shown(self.here)
        await self.query_one(Bubbles).show(messages, self._draw_message, self._user)
        typers = [typer.user for typer in self.client.typing.who(self.here)]
        self.query_one("#typing", Static).update(drawing.draw_typing(typers, self.people.name))
        self._read()
        self.run_worker(self._learn({message.sender for message in messages} | set(typers)))

    def _draw_top(self) -> None:
        room = self.client.rooms.get(self.here)
        title = Text(f"caas · {self.people.name(self._user)}", "bold")
        if room is not None:
            row = next((row for row in self.client.conversations.rows() if row.id == self.here), None)
            title.append(f"   {self.people.title(row) if row else room.conversation.get('name', self.here)}", "bold #7aa2f7")
            peer = self.people.peer(self.here)
            title.append(f"  {self.client.presence.of(peer)}" if peer else f"  {room.conversation.get('member_count', '?')} members", "dim")
            if room.conversation.get("frozen"):
                title.append("  frozen", "#7dcfff")
            if room.state in ("error", "left"):
                title.append(f"  {room.state}: {room.error}", "#f7768e")
        self.query_one("#title", Static).update(title)
        self.query_one("#state", Static).update(drawing.draw_state(self._state))

    def _draw_rows(self) -> None:
        listed, rows = self.query_one("#rows", OptionList), self.client.conversations.rows()
        options = []
        for row in rows:
            peer = self.people.peer(row.id)
            status = self.client.presence.of(peer) if peer else None
            options.append(Option(drawing.draw_row(row, self.people.title(row), status, is_open=row.id == self.here), id=row.id))
        listed.clear_options()
        listed.add_options(options)
        listed.highlighted = next((place for place, row in enumerate(rows) if row.id == self.here), None)

    def _draw_message(self, message: Message, before: Message | None) -> Text:
        day = drawing.day_of(message)
        new_day = before is None or drawing.day_of(before) != day
        room = self.client.rooms.get(self.here)
        quoted = room.timeline.get(message.reply_to) if room is not None and message.reply_to else None
        return drawing.draw_message(message, self._user, self.people.name, quoted, day if new_day else "")

    async def _learn(self, users: set[str]) -> None:
        try:
            if await self.people.meet(self.client.conversations.rows()) | await self.people.learn(users):
                self.draw_soon()
        except CaasError as error:
            self.log(error)  # names are missing: the ids are shown, and the next drawing asks again

    def _read(self) -> None:
        row = next((row for row in self.client.conversations.rows() if row.id == self.here), None)
        if self._looked_at and row is not None and (row.unread or row.unread_mentions):
            self.client.conversations.mark_read(self.here)

    def tell(self, text: str) -> None:
        """Say something above the line to write in; nothing takes it away."""
        about = self.query_one("#about", Static)
        about.update(text)
        about.set_class(bool(text), "told")

    # --- keys

    def on_app_focus(self) -> None:
        """The terminal is looked at: what is shown is read."""
        self._looked_at = True
        self.draw_soon()

    def on_app_blur(self) -> None:
        """Nobody looks."""
        self._looked_at = False

    def on_input_changed(self, event: Input.Changed) -> None:
        """A key was pressed where one writes."""
        if not self._begun or not self.here or event.value.startswith("/"):
            return
        if event.value:
            self.client.typing.key(self.here)
        else:
            self.client.typing.stop(self.here)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """A line is written: send it, change what is edited, or carry out a command."""
        text, reply, edit = event.value.strip(), self._reply, self._edit
        if not text or not self._begun:
            return
        self._reply = self._edit = None
        self.tell("")
        event.input.value = ""
        if text.startswith("/"):
            self._later(commands.run(self, text))
        elif edit is not None:
            self._later(self._do(self.client.messages.edit(self.here, edit.id, text)))
        elif self.here:
            mentions = [word[1:].rstrip(".,:;!?") for word in text.split() if word.startswith("@") and len(word) > 1]
            content = ({"reply_to": reply.id} if reply else {}) | ({"mentions": mentions} if mentions else {})
            self.client.messages.post(self.here, text, **content)

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A conversation was picked."""
        if event.option_id and event.option_id != self.here:
            self.run_worker(self.open(event.option_id))

    def action_step(self, step: int) -> None:
        """The next conversation of the list, or the one before."""
        ids = [row.id for row in self.client.conversations.rows()] if self._begun else []
        if ids:
            at = ids.index(self.here) + step if self.here in ids else 0
            self.run_worker(self.open(ids[at % len(ids)]))

    def action_choose(self) -> None:
        """From the line to write in to the messages."""
        bubbles = self.query_one(Bubbles)
        bubbles.focus()
        bubbles.choose_last()

    def action_never_mind(self) -> None:
        """Neither reply nor edit, and nothing told."""
        write = self.query_one("#write", Input)
        if self._edit is not None:
            write.value = ""
        self._reply = self._edit = None
        self.tell("")
        write.focus()

    def on_bubbles_at_top(self) -> None:
        """Whoever looks further up sees more."""
        if self.here:
            self._later(self._do(self.client.messages.earlier(self.here)))

    def on_bubbles_act(self, event: Bubbles.Act) -> None:
        """Something is to be done with a message."""
        write, about = self.query_one("#write", Input), event.about
        if event.verb == "back" or about is None:
            write.focus()
        elif event.verb == "reply":
            self._reply = about
            self.tell(f"Replying to {self.people.name(about.sender)}: {(about.text or '')[:60]}   (escape: never mind)")
            write.focus()
        elif event.verb == "edit":
            self._begin_edit(about)
        elif event.verb == "react":
            self.push_screen(Picker(), lambda emoji: self._react(about, emoji))
        else:
            self._change(event.verb, about)

    def _begin_edit(self, about: Message) -> None:
        if about.sender != self._user or about.deleted or about.status in ("sending", "failed"):
            return self.tell("Only your own messages that are sent can be edited.")
        write = self.query_one("#write", Input)
        self._edit, write.value = about, about.text or ""
        write.cursor_position = len(write.value)
        self.tell("Editing   (enter: done, escape: never mind)")
        write.focus()
        return None

    def _change(self, verb: str, about: Message) -> None:
        messages = self.client.messages
        if about.status in ("sending", "failed"):
            return self._not_sent(verb, about)
        if verb == "delete":
            self._later(self._do(messages.delete(self.here, about.id)))
        elif verb == "hide":
            self._later(self._do(messages.delete(self.here, about.id, whom="me")))
        elif verb == "pin":
            self._later(self._do((messages.unpin if about.pinned else messages.pin)(self.here, about.id)))
        return None

    def _not_sent(self, verb: str, about: Message) -> None:
        if about.status == "failed" and verb == "retry":
            self.client.messages.retry(about.id)
        elif about.status == "failed" and verb in ("delete", "hide"):
            self.client.messages.discard(about.id)

    def _react(self, about: Message, emoji: str | None) -> None:
        if emoji is not None:
            one = about.reactions.get(emoji)
            act = self.client.messages.unreact if one is not None and one.own else self.client.messages.react
            self._later(self._do(act(self.here, about.id, emoji)))

    async def _do(self, act: Awaitable[object]) -> str:
        try:
            await act
        except CaasError as error:
            return str(error)
        return ""

    def _later(self, work: Awaitable[str]) -> None:
        """Do something without holding up the keys, and tell what comes of it."""
        async def run() -> None:
            if told := await work:
                self.tell(told)

        self.run_worker(run())
