"""What `caas doctor` looks at: one function for each check, none of which changes anything."""

from caas.checks.catalogue import CHECKS
from caas.checks.model import Check, Found, Ground

__all__ = ["CHECKS", "Check", "Found", "Ground"]
