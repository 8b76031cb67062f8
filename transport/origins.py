"""Which web pages may open a WebSocket here. A browser says where a page is from (`Origin`), and the page cannot change that. Pure."""

import re
from collections.abc import Collection
from typing import Final

from services.api_keys.service import is_loopback

ANY: Final = "*"
"""In the list: whatever page there is."""

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[^\[\]/:@]+)(:[0-9]{1,5})?")


class Origins:
    """A list of origins, compared as they stand. Clients that are no browser send none, and are always let in."""

    def __init__(self, allowed: Collection[str] = (), *, of_this_machine: bool = False) -> None:
        """`of_this_machine`: the development set-up, where the pages of this machine are let in, on whatever port, and of no other."""
        self._allowed, self._of_this_machine = frozenset(allowed), of_this_machine

    def allow(self, origin: str | None, host: str) -> bool:
        """Whether to let a page in; `host` is the name it asked for."""
        if origin is None or ANY in self._allowed or origin in self._allowed:
            return True
        if self._of_this_machine:  # the name asked for proves nothing there: any name may lead to this machine
            return _is_local(origin)
        return origin in (f"https://{host}", f"http://{host}")


EVERYBODY: Final = Origins((ANY,))


def _is_local(origin: str) -> bool:
    found = _ORIGIN.fullmatch(origin)
    return found is not None and (found[1] == "localhost" or is_loopback(found[1].strip("[]")))
