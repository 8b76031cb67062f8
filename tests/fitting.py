"""Whether what the server really says is what `protocol/` describes: no field more, none missing, each of its kind."""

from collections.abc import Container
from typing import Any

import msgspec

from protocol.errors import CODES
from protocol.events import EVENTS, Push
from protocol.replies import ErrorBody


def misfit(value: Any, shape: Any) -> str:
    """What of a value (maps and lists, as decoded) its shape does not say; empty when it fits."""
    try:
        msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as error:
        return f"{error}: {value}"
    return ""


def misfit_frame(frame: dict[str, Any], answers: type[msgspec.Struct] | None = None, refuses: Container[str] = CODES) -> str:
    """The same for a frame: a push, or the reply to a command that answers so (None: it is not known which) or is refused so."""
    if "t" in frame:
        return misfit_push(frame)
    if "e" in frame:
        code = frame["e"]["code"]
        return misfit(frame["e"], ErrorBody) or ("" if code in refuses else f"services/refusals.py does not say that this may be `{code}`: {frame}")
    return misfit(frame["r"], answers) if answers is not None else ""


def misfit_push(frame: dict[str, Any]) -> str:
    """The same for a push."""
    kind: type[Push] | None = EVENTS.get(frame["t"])
    return f"no such push: {frame}" if kind is None else misfit(frame, kind)
