"""A small window to pick an emoji."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

EMOJI = ("👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀")


class Picker(ModalScreen[str | None]):
    """One key picks; escape does not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(place), f"pick({place - 1})", emoji) for place, emoji in enumerate(EMOJI, 1)),
        Binding("escape", "pick(-1)", "Never mind"),
    ]

    def compose(self) -> ComposeResult:
        """The emoji, each with its key."""
        yield Static("   ".join(f"{place} {emoji}" for place, emoji in enumerate(EMOJI, 1)), id="emoji", markup=False)

    def action_pick(self, place: int) -> None:
        """It was this one, or none."""
        self.dismiss(EMOJI[place] if place >= 0 else None)
