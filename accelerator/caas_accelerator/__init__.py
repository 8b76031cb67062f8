"""Compiled copies of caas-server's hot modules, and which sources they were made from. `caas/acceleration.py` puts them in their place."""
