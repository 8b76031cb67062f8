"""Whose data: the first argument of every call that reads or writes."""

from typing import Protocol


class Tenanted(Protocol):
    """Whatever names a tenant. Without one there is nothing to read: the tenant is part of every key."""

    @property
    def tenant(self) -> str:
        """The application's id; `~system` for what belongs to the set-up itself."""
        ...
