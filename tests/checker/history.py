"""The history checker lives with the simulated world (`sim/history.py`): the same judges both, and real processes."""

from sim.history import KEPT_NS, NOT_TOLD, RULES, Entry, Event, Listed, Log, Op, Outcome, digest, read, tally, violations, write

__all__ = ["KEPT_NS", "NOT_TOLD", "RULES", "Entry", "Event", "Listed", "Log", "Op", "Outcome", "digest", "read", "tally", "violations", "write"]
