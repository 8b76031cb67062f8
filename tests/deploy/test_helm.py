"""The Helm chart, without Helm: what its templates ask for is in the values, what they set is what the program reads."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from caas.config import Config, read_config
from tests.deploy.test_compose import known_names

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = sorted(path for path in (CHART / "templates").iterdir() if path.is_file())
BUILT_IN = {"Values", "Release", "Chart", "Template"}


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["apiVersion"], chart["version"], chart["appVersion"]) == ("v2", version, version)


def test_the_program_reads_the_settings() -> None:
    settings = VALUES["settings"]
    assert set(settings) <= set(Config.__struct_fields__)
    given = {f"CAAS_{name.upper()}": str(value) for name, value in settings.items() if value != ""}
    config = read_config({**given, "CAAS_MONGO": "mongodb://a/?replicaSet=caas", "CAAS_REDIS": "redis://a:6379/0", "CAAS_NODE": "caas-0"})
    assert config.workers == 2


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_what_a_template_asks_for_is_there(path: Path) -> None:
    text = path.read_text()
    for asked in re.findall(r"\.Values((?:\.\w+)+)", text):
        place: Any = VALUES
        for name in asked.strip(".").split("."):
            assert name in place, f".Values{asked}"
            place = place[name]
    assert {name.removesuffix("_") for name in re.findall(r"\bCAAS_[A-Z_]*[A-Z]\b", text)} <= known_names()
    assert set(re.findall(r"[ (]\.([A-Z]\w*)", "".join(re.findall(r"\{\{.*?\}\}", text, re.DOTALL)))) <= BUILT_IN


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_block_of_a_template_ends(path: Path) -> None:
    depth = 0
    for word in re.findall(r"\{\{-?\s*(if|range|with|define|end)\b", path.read_text()):
        depth += -1 if word == "end" else 1
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize("path", [path for path in TEMPLATES if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_a_template_is_yaml_around_its_actions(path: Path) -> None:
    """Lines of control are left out; what puts a value in is a word."""
    lines = [re.sub(r"\{\{-? *toYaml.*?\}\}|\{\{-? *include .*?nindent.*?\}\}", "{}", line) for line in path.read_text().splitlines()
             if not re.fullmatch(r"\s*\{\{-? *(if|range|with|end|define)\b.*\}\}", line)]
    plain = re.sub(r"\{\{.*?\}\}", "x", "\n".join(line for line in lines if line.strip() != "{}"))
    documents = list(yaml.safe_load_all(plain))
    assert all({"apiVersion", "kind", "metadata"} <= set(document) for document in documents)


def test_a_pod_has_longer_to_drain_than_a_node_takes() -> None:
    text = (CHART / "templates" / "statefulset.yaml").read_text()
    waits = int(re.search(r'command: \[sleep, "(\d+)"\]', text)[1])  # type: ignore[index]
    besides = int(re.search(r"add \(int \.Values\.settings\.drain_s\) (\d+)", text)[1])  # type: ignore[index]
    assert waits + 5 < besides
