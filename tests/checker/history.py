"""The history checker lives with the simulated world (`sim/history.py`): the same judges both, and real processes."""

from sim.history import NOT_TOLD, RULES, Entry, Event, Log, Op, Outcome, digest, read, tally, violations, write

__all__ = ["NOT_TOLD", "RULES", "Entry", "Event", "Log", "Op", "Outcome", "digest", "read", "tally", "violations", "write"]
