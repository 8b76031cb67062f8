"""What the rest of the program may ask of storage. A backend implements these and is named in `caas/wiring.py` alone."""
