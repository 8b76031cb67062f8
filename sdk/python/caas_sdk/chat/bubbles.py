"""The messages of a conversation on the screen, with one of them chosen."""

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message as Note
from textual.widgets import Static

from caas_sdk.core.message import Message

Draw = Callable[[Message, Message | None], Text]
"""A message, after the one before it."""


class Bubble(Static):
    """One message."""

    def __init__(self, message: Message, drawn: Text, *, own: bool) -> None:
        super().__init__(drawn, classes="own" if own else "other", markup=False)
        self.message, self.drawn = message, drawn

    def show(self, message: Message, drawn: Text) -> None:
        """It has changed."""
        self.message = message
        if drawn != self.drawn:
            self.drawn = drawn
            self.update(drawn)


class Bubbles(VerticalScroll):
    """All messages that are loaded. Keys act on the chosen one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "choose(-1)", "Older"),
        Binding("down,j", "choose(1)", "Newer"),
        Binding("r", "act('reply')", "Reply"),
        Binding("plus,a", "act('react')", "React"),
        Binding("e", "act('edit')", "Edit"),
        Binding("d", "act('delete')", "Delete"),
        Binding("h", "act('hide')", "Hide for me"),
        Binding("p", "act('pin')", "Pin"),
        Binding("s", "act('retry')", "Send again"),
        Binding("escape,enter", "act('back')", "Write"),
    ]

    class Act(Note):
        """A key was pressed for a message."""

        def __init__(self, verb: str, about: Message | None) -> None:
            super().__init__()
            self.verb, self.about = verb, about

    class AtTop(Note):
        """There may be earlier messages."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._shown: list[Bubble] = []
        self._chosen: str | None = None

    @property
    def chosen(self) -> Message | None:
        """The message that keys act on."""
        return next((bubble.message for bubble in self._shown if bubble.message.id == self._chosen), None)

    async def show(self, messages: list[Message], draw: Draw, me: str) -> None:
        """Show these messages; what is there already stays where it is."""
        at_end = self.max_scroll_y - self.scroll_y <= 2
        drawn = [draw(message, messages[place - 1] if place else None) for place, message in enumerate(messages)]
        ids, had = [message.id for message in messages], [bubble.message.id for bubble in self._shown]
        if ids[: len(had)] != had:
            await self._anew(messages, drawn, me)
        else:
            for bubble, message, text in zip(self._shown, messages, drawn, strict=False):
                bubble.show(message, text)
            fresh = [Bubble(message, text, own=message.sender == me) for message, text in list(zip(messages, drawn, strict=True))[len(had) :]]
            self._shown += fresh
            await self.mount_all(fresh)
        self._mark()
        if at_end:
            self.call_after_refresh(self.scroll_end, animate=False)

    def choose_last(self) -> None:
        """The newest message is chosen."""
        self._chosen = self._shown[-1].message.id if self._shown else None
        self._mark()

    def action_choose(self, step: int) -> None:
        """Choose the next one up or down."""
        ids = [bubble.message.id for bubble in self._shown]
        if not ids:
            return
        at = ids.index(self._chosen) + step if self._chosen in ids else len(ids) - 1
        if at < 0:
            self.post_message(self.AtTop())
        if at >= len(ids):
            self.post_message(self.Act("back", None))
        self._chosen = ids[min(max(at, 0), len(ids) - 1)]
        self._mark()

    def action_act(self, verb: str) -> None:
        """Do something with the chosen one."""
        self.post_message(self.Act(verb, self.chosen))

    def on_blur(self) -> None:
        """Nothing is chosen while one writes."""
        self._chosen = None
        self._mark()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever scrolls to the top wants to see more."""
        super().watch_scroll_y(old_value, new_value)
        if new_value <= 0 < old_value:
            self.post_message(self.AtTop())

    async def _anew(self, messages: list[Message], drawn: list[Text], me: str) -> None:
        top = self._shown[0].message.id if self._shown else None
        await self.remove_children()
        self._shown = [Bubble(message, text, own=message.sender == me) for message, text in zip(messages, drawn, strict=True)]
        await self.mount_all(self._shown)
        for bubble in self._shown[1:]:
            if bubble.message.id == top:
                self.call_after_refresh(self.scroll_to_widget, bubble, animate=False, top=True)

    def _mark(self) -> None:
        for bubble in self._shown:
            chosen = bubble.message.id == self._chosen
            bubble.set_class(chosen, "chosen")
            if chosen:
                self.scroll_to_widget(bubble, animate=False)
