"""The rules for Prometheus: what they ask for is measured, and the guide says what each means."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "alerts.yaml"
RULES: list[dict[str, Any]] = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]


def measured() -> set[str]:
    """The names of all figures, as Prometheus sees them."""
    code = "".join((ROOT / path).read_text() for path in ("caas/wiring.py", "transport/health.py"))
    names = {name.removesuffix("_total") for name in re.findall(r'"(caas_[a-z_]+)"', code)}
    return {name + kind for name in names for kind in ("", "_total", "_bucket")}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_what_a_rule_asks_for_is_measured_and_explained(rule: dict[str, Any]) -> None:
    assert set(re.findall(r"\bcaas_\w+", rule["expr"])) <= measured()
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"]
    assert f"| `{rule['alert']}` |" in (ROOT / "docs" / "guide" / "operate.md").read_text()


def test_the_guide_explains_no_rule_that_there_is_not() -> None:
    explained = re.findall(r"^\| `(Caas\w+)` \|", (ROOT / "docs" / "guide" / "operate.md").read_text(), re.MULTILINE)
    assert explained == [rule["alert"] for rule in RULES]


def test_prometheus_takes_them() -> None:
    found = shutil.which("promtool") or pytest.skip("promtool is not installed: the rules were NOT checked by it")
    done = subprocess.run([found, "check", "rules", str(FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
