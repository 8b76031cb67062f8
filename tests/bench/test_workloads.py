"""Each workload for a moment, small, against the real server: it runs, it measures something, and nothing is wrong with what came."""

from pathlib import Path

import pytest

from bench import lab as lab_module
from bench.lab import Lab, Row
from bench.report import write
from bench.servers.kinds import KINDS, LOOP, OURS
from bench.workloads import NAMES, workload

ALONE = {"idle_many", "reconnect_storm", "presence_churn", "catch_up", "slow_readers", "loud_tenant", "overload", "cross_worker"}
"""Those that no other server takes part in."""


@pytest.fixture(autouse=True)
def built_here(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs under test are those just compiled."""
    for module in ("bench.generate", "bench.servers.kinds"):
        monkeypatch.setattr(f"{module}.built", lambda name: programs / name)


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_it_measures_and_nothing_is_wrong(name: str, tmp_path: Path) -> None:
    lab, chosen = Lab(tmp_path, (LOOP, OURS), say=False), workload(name)
    rows: list[Row] = list(chosen.measure(lab, chosen.plans["tiny"]))
    assert lab.left_out == []
    assert {row.server.partition(",")[0] for row in rows} == ({OURS} if name in ALONE else {LOOP, OURS})
    for row in rows:
        assert row.faults == {}, row
        assert row.figures, row
        assert row.durability
        assert all(times.get_total_count() > 0 for times in row.times.values()), row
    page = write(rows, tmp_path / "report", "A test").read_text()
    assert all(row.case in page for row in rows)
    assert list((tmp_path / "report" / "hdr" / name).glob("*.hgrm")) or not any(row.times for row in rows)


def test_every_workload_says_what_it_is_and_has_three_plans() -> None:
    for name in NAMES:
        chosen = workload(name)
        assert chosen.about
        assert set(chosen.plans) == {"tiny", "short", "full"}


def test_a_server_that_is_not_installed_takes_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "ws", KINDS["ws"]._replace(peer="nobody-has-this"))
    assert lab_module.Lab(tmp_path, ("ws", OURS)).present(list(KINDS)) == [OURS]
