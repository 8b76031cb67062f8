"""What a report says of rows, and when ours counts as slower."""

import json
from pathlib import Path

import pytest

from bench import guard
from bench.generate import histogram
from bench.lab import Row, ratio_to
from bench.machine import machine, peers
from bench.report import figure, line, write
from bench.servers.centrifuge import field, varint

CASE = "room of 10, one at a time"


def row(server: str, deliveries: float, of_the_loop: float = 0, **faults: int) -> Row:
    return Row("big_room", CASE, server, "none", {"deliveries per CPU-s": deliveries, "of the C loop": of_the_loop or deliveries / 1_000},
               {"delivery": histogram([(1_000, 10), (2_000, 1)])}, faults)


def test_a_report_has_a_table_a_picture_histograms_and_figures(tmp_path: Path) -> None:
    page = write([row("C loop", 1_000), row("caas", 850, gaps=2)], tmp_path, "A bench", ["ws: not installed"], [("start", "1 s")]).read_text()
    assert "| caas | 850 | 0.85 | **2 gaps** | none |" in page
    assert "| C loop | 1,000 | 1.00 | nothing | none |" in page
    assert "left out: ws: not installed" in page
    assert "| start | 1 s |" in page
    assert (tmp_path / "big_room.png").read_bytes().startswith(b"\x89PNG")
    distribution = (tmp_path / "hdr" / "big_room" / "room-of-10-one-at-a-time.caas.delivery.hgrm").read_text()
    assert "Percentile" in distribution
    assert json.loads((tmp_path / "figures.json").read_text())[1]["faults"] == {"gaps": 2}
    assert "WRONG: 2 gaps" in line(row("caas", 850, gaps=2))


def test_it_names_the_machine_by_nothing_but_its_parts() -> None:
    said = "\n".join([*machine(), *peers()])
    assert "cores, Linux" in said
    assert "centrifuge v" in said
    assert "/" not in said.replace("/amd64", "").replace("/arm64", "")


@pytest.mark.parametrize(("now", "slower"), [(0.85, 0), (0.70, 0), (0.67, 1)])
def test_ours_is_slower_when_a_ratio_falls_by_more_than_15_percent(
        now: float, slower: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(guard, "RECORDED", tmp_path / "recorded.json")
    assert guard.main_of([row("C loop", 1_000), row("caas", 800)], record=True) == 0
    assert guard.main_of([row("C loop", 500), row("caas", 500 * now, now)], record=False) == slower
    assert ("SLOWER" in capsys.readouterr().err) == bool(slower)


@pytest.mark.parametrize(("ws", "slower"), [(1_000, 0), (500, 0), (1_200, 1)])
def test_what_fell_against_one_base_alone_is_not_slower(ws: float, slower: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RECORDED", tmp_path / "recorded.json")
    guard.main_of([row("C loop", 1_000), row("ws", 1_000), row("caas", 1_000)], record=True)
    assert guard.main_of([row("C loop", 1_300), row("ws", ws), row("caas", 1_000, 0.77)], record=False) == slower


def test_where_a_base_is_missing_it_is_not_judged_and_says_so(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(guard, "RECORDED", tmp_path / "recorded.json")
    guard.main_of([row("C loop", 1_000), row("ws", 1_000), row("caas", 1_000)], record=True)
    assert guard.main_of([row("C loop", 1_000), row("caas", 500, 0.5)], record=False) == 0
    assert capsys.readouterr().err == "not held against what was recorded, for want of ws\n"


def test_nothing_is_held_against_what_was_measured_at_a_fixed_rate() -> None:
    for case in ("room of 10, all at the same rate", "100 messages/s of 16,000 bytes, all read"):
        assert not guard.ratios([row(server, 1)._replace(case=case) for server in ("C loop", "ws", "caas")])


def test_without_a_record_nothing_is_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RECORDED", tmp_path / "recorded.json")
    assert guard.main_of([row("C loop", 1_000), row("caas", 1)], record=False) == 0


def test_ratios_are_taken_round_by_round() -> None:
    assert ratio_to([100, 10, 50], [80, 9, 45]) == 0.9
    assert ratio_to([], [1, 2]) == 0


@pytest.mark.parametrize(("value", "said"), [(12_345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (0, "0.00")])
def test_figures_have_as_many_digits_as_mean_something(value: float, said: str) -> None:
    assert figure("p50 ms", value) == said


def test_protobuf_by_hand() -> None:
    assert varint(300) == b"\xac\x02"
    assert field(2, b"testing") == b"\x12\x07testing"
