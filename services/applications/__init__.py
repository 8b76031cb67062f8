"""Applications: one product of a company in one environment; the tenant of everything else."""

from services.applications.model import DEV, Application
from services.applications.service import Applications

__all__ = ["DEV", "Application", "Applications"]
