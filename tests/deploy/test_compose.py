"""`deploy/compose.yaml` cannot be run here: that it is what the specification of compose allows, what ours asks for, and what the program reads."""

import importlib.resources
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from caas.config import Config, read_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
CONSOLES = {"kafka-ui": 8080, "mongo-express": 8082, "redis-commander": 8083}
ADDRESSES = {
    "mongo-1": "172.28.1.1", "mongo-2": "172.28.1.2", "mongo-3": "172.28.1.3", "redis": "172.28.2.1", "kafka-controller-1": "172.28.3.1",
    "kafka-1": "172.28.3.2", "kafka-2": "172.28.3.3", "kafka-3": "172.28.3.4", "registry": "172.28.3.5", "gateway": "172.28.6.1",
}
"""As they were agreed; ZooKeeper's is a controller's now."""
PHASES = [["kafka-controller-1", "redis"], ["kafka-1", "kafka-2", "kafka-3"], ["registry"], ["mongo-1"], ["mongo-2", "mongo-3"], ["mongo-init"],
          ["caas-1", "caas-2", "caas-3"], ["gateway"]]
BESIDES = {"CAAS_CONFIG", "CAAS_WORKER"}
"""Read by the program, and no settings."""


def known_names() -> set[str]:
    return {f"CAAS_{name.upper()}" for name in Config.__struct_fields__} | BESIDES


def test_it_is_what_compose_specifies() -> None:
    schema = json.loads(importlib.resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(COMPOSE)] == []


@pytest.mark.parametrize("name", ADDRESSES)
def test_who_has_an_address_of_the_map(name: str) -> None:
    assert SERVICES[name]["networks"]["caas"]["ipv4_address"] == ADDRESSES[name]


def test_no_address_is_given_twice_and_all_are_of_the_network() -> None:
    given = [where["ipv4_address"] for one in SERVICES.values() if isinstance(networks := one.get("networks"), dict) for where in networks.values()]
    assert len(set(given)) == len(given)
    assert all(address.startswith("172.28.") for address in given)


def test_ports_of_the_map() -> None:
    listens = {name: SERVICES[name]["environment"]["KAFKA_LISTENERS"] for name in ("kafka-controller-1", "kafka-1", "kafka-2", "kafka-3")}
    assert listens["kafka-controller-1"].endswith(":2181")
    assert all(":29092" in listens[f"kafka-{number}"] and f":{9091 + number}" in listens[f"kafka-{number}"] for number in (1, 2, 3))
    published = {name: [text.rsplit(":", 2)[-2] for text in one.get("ports", [])] for name, one in SERVICES.items()}
    assert [published[name] for name in ("kafka-1", "kafka-2", "kafka-3")] == [["9092"], ["9093"], ["9094"]]
    assert (published["gateway"], published["registry"], published["mongo-1"]) == (["3000"], ["8081"], ["27017"])
    assert {name: int(published[name][0]) for name in CONSOLES} == CONSOLES


def test_only_the_gateway_can_be_reached_from_outside() -> None:
    assert [name for name, one in SERVICES.items() for text in one.get("ports", []) if not text.startswith("127.0.0.1:")] == ["gateway"]


def test_only_the_consoles_are_in_a_profile() -> None:
    assert {name for name, one in SERVICES.items() if "profiles" in one} == set(CONSOLES)


def test_everybody_waits_for_those_of_the_phase_before() -> None:
    def before(name: str) -> set[str]:
        needs = set(SERVICES[name].get("depends_on", {}))
        return needs.union(*(before(other) for other in needs))

    for earlier, later in itertools.pairwise(PHASES):
        assert all(set(earlier) <= before(name) for name in later), later


def test_who_is_waited_for_can_be_asked() -> None:
    for name, one in SERVICES.items():
        for other, how in one.get("depends_on", {}).items():
            wanted = how["condition"]
            asked = "healthcheck" in SERVICES[other] or "build" in SERVICES[other]  # the Dockerfile has the nodes'
            assert wanted == "service_completed_successfully" or asked, f"{name} waits for {other}"
            assert (wanted == "service_completed_successfully") == (other == "mongo-init"), f"{name} waits for {other}"


def test_three_brokers_and_three_controllers_that_lose_nothing() -> None:
    roles = [one["environment"]["KAFKA_PROCESS_ROLES"] for one in SERVICES.values() if "KAFKA_PROCESS_ROLES" in one.get("environment", {})]
    assert sorted(roles) == ["broker"] * 3 + ["controller"] * 3
    for one in (one["environment"] for name, one in SERVICES.items() if re.fullmatch(r"kafka-(controller-)?\d", name)):
        assert one["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
        assert one["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == one["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    voters = SERVICES["kafka-1"]["environment"]["KAFKA_CONTROLLER_QUORUM_VOTERS"]
    said = {f"{one['environment']['KAFKA_NODE_ID']}@{one['networks']['caas']['ipv4_address']}:2181" for name, one in SERVICES.items()
            if name.startswith("kafka-controller")}
    assert set(voters.split(",")) == said


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_program_reads_what_a_node_is_given(number: int) -> None:
    environment = {name: re.sub(r"\$\{[^}]*\}", "secret", value) for name, value in SERVICES[f"caas-{number}"]["environment"].items()}
    assert set(environment) <= known_names()
    config = read_config(environment)
    assert (config.node, config.proxies) == (f"n{number}", ("172.28.6.1/32",))


def test_every_secret_is_asked_for_and_every_file_is_there() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    wanted = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    offered = {line.split("=")[0] for line in (DEPLOY / ".env.example").read_text().splitlines() if "=" in line and not line.startswith("#")}
    assert wanted == offered
    mounted = [volume.split(":")[0] for one in SERVICES.values() for volume in one.get("volumes", [])]
    assert [path for path in mounted if path.startswith("./") and not (DEPLOY / path).exists()] == []
    assert {path for path in mounted if not path.startswith("./")} == set(COMPOSE["volumes"])


def test_secrets_are_not_for_the_repository() -> None:
    for name in (".env", "master.key"):
        assert subprocess.run(["git", "check-ignore", "-q", f"deploy/{name}"], cwd=ROOT, check=False).returncode == 0, name


def test_the_balancer_takes_its_configuration() -> None:
    found = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.skip("haproxy is not installed: its configuration was NOT checked")
    places = {"BIND": ":3000", "SOURCE": "172.28.6.1", "ADMIN": "/tmp/caas-admin"}
    places |= {f"NODE_{number}": f"127.0.0.1:{3000 + number}" for number in (1, 2, 3)}
    assert set(places) == set(SERVICES["gateway"]["environment"])
    done = subprocess.run([found, "-c", "-f", str(DEPLOY / "haproxy.cfg")], env=places, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr, done.stderr


def test_what_the_nodes_are_told_of_the_balancer_is_where_it_speaks_from() -> None:
    gateway = SERVICES["gateway"]["environment"]
    assert {SERVICES[f"caas-{number}"]["environment"]["CAAS_PROXIES"] for number in (1, 2, 3)} == {gateway["SOURCE"]}
    assert [gateway[f"NODE_{number}"] for number in (1, 2, 3)] == [f"caas-{number}:3000" for number in (1, 2, 3)]


def test_the_image_is_built_of_what_is_let_in() -> None:
    docker = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"\bCAAS_[A-Z_]+(?==)", docker)) <= known_names()
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert [name for name in let_in if not (ROOT / name).exists()] == []
    packages = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages is not None
    assert set(re.findall(r'"(\w+)"', packages[1])) <= let_in
    assert set(re.findall(r"^COPY (?!--)(?!\. )(\S+)", docker, re.MULTILINE)) <= let_in
