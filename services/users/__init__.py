"""End users of an application: who they are to the company, and who they are to us."""

from services.users.fold import KINDS
from services.users.model import Profile, User
from services.users.service import Users

__all__ = ["KINDS", "Profile", "User", "Users"]
