"""Sessions: how an end user is let in, stays in, and is shown out."""

from services.sessions.model import Authenticated, CreateSession, Ending, RefreshSession
from services.sessions.service import Sessions

__all__ = ["Authenticated", "CreateSession", "Ending", "RefreshSession", "Sessions"]
