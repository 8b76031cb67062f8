"""What is known of an application."""

from typing import Final, Literal

import msgspec

Environment = Literal["live", "test"]

DEV: Final = "dev"
"""Id of the application that the development set-up makes."""


class Application(msgspec.Struct, frozen=True):
    """An application as stored."""

    id: str
    name: str
    environment: Environment
    publishable: str
    """The key that names the application where no token is there yet; no secret."""
    created_at: int
