"""Each attack has a budget of processor time and of memory, held by the process that is attacked: no clock on the wall has a part in it.

The budgets are four times what was measured (`CAAS_MEASURE=1 pytest -s` prints it). That they can be overdrawn is shown by planted bugs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.server import Server
from protocol.ids import make_uuid7, show_act
from tests.abuse.attacks import ATTACKS, Attack, Target

pytestmark = pytest.mark.real

MB = 1_000_000
PLANTED = Path(__file__).parent / "planted"
CAUGHT_BY = {"quadratic_decoder": "deep nesting", "unbounded_outbox": "readers who read nothing", "unbounded_message": "a frame of 2^62 bytes",
             "unbounded_head": "heads without an end"}


class Cost(NamedTuple):
    """What an attack cost the worker."""

    cpu_s: float
    """For each million bytes (or thousand connections)."""
    peak_mb: float

    def overdrawn(self, attack: Attack) -> list[str]:
        """Which of its budgets."""
        return [f"{attack.name}: {said} {cost:.3f}, and {budget:g} is the budget" for said, cost, budget in (
            ("seconds of processor", self.cpu_s, attack.cpu_s), ("MB of memory", self.peak_mb, attack.peak_mb)) if cost > budget]


@contextmanager
def attacked(folder: Path, planted: str = "") -> Iterator[Target]:
    """A server of one worker, with a history of half a megabyte to ask for."""
    path = os.pathsep.join(filter(None, (str(PLANTED), os.environ.get("PYTHONPATH", ""))))
    settings = {"PYTHONPATH": path, "PLANTED": planted} if planted else {}
    with Server(folder / "data", workers=1, log=folder / "server.log", settings=settings) as server:
        for number in range(40):
            message = {"id": show_act(make_uuid7(1_700_000_000_000 + number, bytes(10))), "text": "x" * 12_000}
            server.post("/api/v1/conversations/lobby/messages", message, CAAS_User="alice")
        yield Target(server, server.session("alice"))


def measure(target: Target, attack: Attack) -> Cost:
    """Do it, and look at what the worker has used for it."""
    [pid] = target.server.pids()
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before_s, before_kb = target.server.cpu_s(), target.server.rss_kb()
    done = attack.run(target)
    assert target.server.pids() == [pid], "it did not survive this"
    return Cost((target.server.cpu_s() - before_s) * attack.each / done, (peak_kb(pid) - before_kb) / 1024)


def peak_kb(pid: int) -> int:
    """The most resident memory it has had since that was last asked to begin anew."""
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("abuse")) as target:
        yield target


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_stays_within_its_budget(target: Target, attack: Attack) -> None:
    cost = measure(target, attack)
    print(f"{attack.name}: {cost.cpu_s:.3f} s of processor, {cost.peak_mb:.1f} MB")
    assert not cost.overdrawn(attack)


@pytest.mark.parametrize("planted", CAUGHT_BY)
def test_a_planted_bug_overdraws_it(tmp_path: Path, planted: str) -> None:
    attack = next(attack for attack in ATTACKS if attack.name == CAUGHT_BY[planted])
    with attacked(tmp_path, planted) as target:
        cost = measure(target, attack)
    print(f"{planted}, {attack.name}: {cost.cpu_s:.3f} s of processor, {cost.peak_mb:.1f} MB")
    assert cost.overdrawn(attack)
