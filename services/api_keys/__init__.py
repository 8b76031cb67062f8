"""Secret keys: how a company's own servers say who they are."""

from services.api_keys.service import ApiKeys
from services.api_keys.text import DEV_PUBLISHABLE, DEV_SECRET

__all__ = ["DEV_PUBLISHABLE", "DEV_SECRET", "ApiKeys"]
