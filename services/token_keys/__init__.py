"""Keys that a company signs user tokens with by itself: it registers the public half, and we verify."""

from services.token_keys.model import Registered
from services.token_keys.service import TokenKeys

__all__ = ["Registered", "TokenKeys"]
