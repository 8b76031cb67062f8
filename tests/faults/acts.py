"""The acts of the simulated world's clients (`sim/acts.py`); those who load real processes do the same."""

from sim.acts import GUESTS, Act, Acts, as_folded, folded, known_by

__all__ = ["GUESTS", "Act", "Acts", "as_folded", "folded", "known_by"]
