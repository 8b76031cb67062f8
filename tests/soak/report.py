"""What a soak did, and what came of it, for somebody who does not believe it: Markdown, with what runs each part again."""

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.checker.history import RULES

RULE_NAMES = {
    "S1": "what was acknowledged is in the log, at its seq, with its content", "S2": "an id is in a conversation once",
    "S3": "seq is 1, 2, 3... without a hole", "S4": "what was delivered is what the log has there",
    "S5": "deliveries go on where they stopped", "S6": "acknowledged before another began: the earlier seq",
    "S7": "one sender's messages stay in order", "S8": "nothing that nobody sent; another epoch is announced",
    "S9": "what was refused is not in the log", "S10": "nothing of other tenants, nothing to or from who is out",
    "S11": "what is gone was deleted; acts are about what is there; read marks rise and stay", "S12": "what is counted is what the log has",
}


@dataclass
class Round:
    """One thing done: so many `units` of `what`, from `seed`. `wrong` is empty where all went well; `lost` is what of it breaks a promise."""

    what: str
    seed: int
    units: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    back_s: list[float] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Figures for the report."""
    began: float = field(default_factory=time.time)
    took_s: float = 0.0

    @property
    def verdict(self) -> str:
        """In a word."""
        return "LOST" if self.lost else "FAILED" if self.wrong else "well"


@dataclass
class Soak:
    """All rounds, and what could not be done here."""

    minutes: float
    began: float = field(default_factory=time.time)
    rounds: list[Round] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def losses(self) -> list[str]:
        """Whatever breaks a promise."""
        return [sentence for one in self.rounds for sentence in one.lost]

    @property
    def failures(self) -> list[str]:
        """Whatever did not go as it should and lost nothing."""
        return [sentence for one in self.rounds for sentence in one.wrong]

    def total(self, name: str) -> int:
        """Of all rounds."""
        return sum(one.counts[name] for one in self.rounds)

    def line(self) -> str:
        """For whoever watches."""
        done = ", ".join(f"{units} {what}" for what, units in self.units().items())
        return f"after {(time.time() - self.began) / 60:.1f} min: {done}; losses: {len(self.losses)}; failures: {len(self.failures)}"

    def units(self) -> dict[str, int]:
        """By what was done."""
        return {what: sum(one.units for one in self.rounds if one.what == what) for what in dict.fromkeys(one.what for one in self.rounds)}

    def markdown(self, root: Path) -> str:
        """The report."""
        return "\n".join([*self._summary(), "", *self._done(), "", *self._rules(), "", *self._simulated(), "", *self._figures(), "",
                          *self._believe(), "", *self._machine(root), "", *self._rounds(), ""])

    def _summary(self) -> Iterator[str]:
        took = sum(one.took_s for one in self.rounds)
        yield f"# Soak of {took / 60:.1f} minutes"
        yield ""
        asked = f"{self.minutes:g} minutes were asked for; what had begun was ended." if self.minutes else "One round was asked for."
        yield f"**Losses: {len(self.losses)}. Failures: {len(self.failures)}.** {asked}"
        yield ""
        yield (f"{self.total('sends')} sends and {self.total('acts')} other acts (edits, deletions, reactions, pins, members) were acknowledged by "
               f"real processes, {self.total('simulated acts')} in simulated worlds.")
        for title, found in (("Losses", self.losses), ("Failures that lost nothing", self.failures)):
            if found:
                yield from ("", f"## {title}", "", *(f"- {sentence}" for sentence in found))

    def _done(self) -> Iterator[str]:
        yield from ("## What was done", "", "| what | how many | rounds | minutes | not well | until all were back: median, worst |",
                    "|---|---|---|---|---|---|")
        for what, units in self.units().items():
            mine = [one for one in self.rounds if one.what == what]
            back = [seconds for one in mine for seconds in one.back_s]
            said = f"{statistics.median(back):.2f} s, {max(back):.2f} s" if back else ""
            yield (f"| {what} | {units} | {len(mine)} | {sum(one.took_s for one in mine) / 60:.1f} | "
                   f"{sum(1 for one in mine if one.lost or one.wrong)} | {said} |")
        yield ""
        yield from (f"- Not done here: {what}: {why}" for what, why in self.left_out.items())

    def _rules(self) -> Iterator[str]:
        yield from ("## The rules, and how often each was broken", "",
                    "What each client attempted and was given, laid against the log as read back at the end of each round (`sim/history.py`).", "",
                    "| rule | says | broken |", "|---|---|---|")
        yield from (f"| {rule} | {RULE_NAMES[rule]} | {sum(one.tally[rule] for one in self.rounds)} |" for rule in RULES)

    def _simulated(self) -> Iterator[str]:
        faults = Counter[str]()
        for one in self.rounds:
            faults.update({name.removeprefix("fault "): number for name, number in one.counts.items() if name.startswith("fault ")})
        yield from ("## Faults of the simulated worlds", "", ", ".join(f"{name} {number}" for name, number in sorted(faults.items())) or "none")

    def _figures(self) -> Iterator[str]:
        yield from ("## Three times what the server can take", "")
        yield from [f"- {note}" for one in self.rounds for note in one.notes] or ["Not measured."]

    def _believe(self) -> Iterator[str]:
        planted, found = self.total("planted"), self.total("planted and found")
        yield from ("## Why a zero here means something", "",
                    f"- Into {planted} of the histories that real processes had left, a violation was planted afterwards (an acknowledged message "
                    f"taken out of the log, two entries exchanged, a delivery left out, one invented, a read mark lost): the checker found {found} "
                    f"of {planted}.",
                    "- Twenty-six bugs planted in the product's own code are all found by simulated worlds: `pytest tests/sim -k planted`.",
                    "- Each round names its seed below. A simulated seed is always the same run; for real processes a seed fixes who is hurt and "
                    "when, not what the kernel does meanwhile.")

    def _machine(self, root: Path) -> Iterator[str]:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True).stdout.strip() or "unknown"
        yield from ("## Where", "", f"Commit {commit}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime(self.began))} UTC. {platform.system()} "
                    f"{platform.release()}, {os.cpu_count()} processors, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}.")

    def _rounds(self) -> Iterator[str]:
        yield from ("## Each round", "", "| at | what | seed | how many | seconds | verdict | again |", "|---|---|---|---|---|---|---|")
        for one in self.rounds:
            at = time.strftime("%H:%M:%S", time.gmtime(one.began))
            yield f"| {at} | {one.what} | {one.seed} | {one.units} | {one.took_s:.0f} | {one.verdict} | `{again(one)}` |"


def again(one: Round) -> str:
    """What runs it once more."""
    if one.what == "simulated seeds":
        return f"caas sim --seed {one.seed} --count {one.units}"
    return f"python -m tests.soak --only '{one.what}' --seed {one.seed}"
