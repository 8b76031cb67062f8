"""Sessions: how an end user is let in, stays in, and is shown out."""

from services.sessions.model import Authenticated, CreateSession, RefreshSession
from services.sessions.service import Sessions
from services.sessions.signing import Signers

__all__ = ["Authenticated", "CreateSession", "RefreshSession", "Sessions", "Signers"]
