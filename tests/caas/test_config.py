"""The configuration: who beats whom, and what a bad value is answered with."""

from pathlib import Path

import pytest

from caas.config import BadConfig, Config, Network, read_config, to_environment


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "caas.toml"
    file.write_text("port = 1\nworkers = 3\nhost = '::1'\n")
    config = read_config({"CAAS_PORT": "2", "CAAS_WORKERS": "4"}, file, port=5)
    assert (config.port, config.workers, config.host, config.drain_s) == (5, 4, "::1", Config().drain_s)


@pytest.mark.parametrize(("environment", "says"), [
    ({"CAAS_PORT": "many"}, "CAAS_PORT=many"), ({"CAAS_PORT": "70000"}, "CAAS_PORT=70000"), ({"CAAS_WORKERS": "0"}, "CAAS_WORKERS=0"),
    ({"CAAS_ORIGINS": "https://a.example, https://B.example"}, "CAAS_ORIGINS=https://a.example,https://B.example"),
    ({"CAAS_ORIGINS": "https://a.example/"}, "CAAS_ORIGINS=https://a.example/"), ({"CAAS_ORIGINS": "a.example"}, "CAAS_ORIGINS=a.example"),
    ({"CAAS_BACKEND": "floppy"}, "CAAS_BACKEND=floppy"), ({"CAAS_LOG_LEVEL": "loud"}, "CAAS_LOG_LEVEL=loud"),
])
def test_a_bad_value_is_refused_with_its_place(environment: dict[str, str], says: str) -> None:
    with pytest.raises(BadConfig, match=says):
        read_config(environment)


CLUSTER = {"CAAS_BACKEND": "cluster", "CAAS_NODE": "node-1",
           "CAAS_KAFKA": "k:9092", "CAAS_MONGO": "mongodb://m/?replicaSet=caas", "CAAS_REDIS": "redis://r"}


@pytest.mark.parametrize("lacks", ["CAAS_NODE", "CAAS_KAFKA", "CAAS_MONGO", "CAAS_REDIS"])
def test_a_cluster_says_which_engine_it_lacks(lacks: str) -> None:
    assert read_config(CLUSTER).kafka == "k:9092"
    with pytest.raises(BadConfig, match=f"CAAS_BACKEND=cluster: the cluster needs {lacks}, for example "):
        read_config({name: value for name, value in CLUSTER.items() if name != lacks})


@pytest.mark.parametrize(("text", "says"), [("prot = 1", "there is no setting `prot`"), ("port = 'x'", "port = 'x'"), ("port = ", "caas.toml")])
def test_a_bad_file_is_refused_with_the_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "caas.toml"
    file.write_text(text)
    with pytest.raises(BadConfig, match=says):
        read_config({}, file)


def test_a_list_is_a_list_in_the_file_and_has_commas_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "caas.toml"
    file.write_text("origins = ['https://a.example', 'http://localhost:5173']")
    assert read_config({}, file).origins == ("https://a.example", "http://localhost:5173")
    assert read_config({"CAAS_ORIGINS": "https://b.example, capacitor://localhost,"}, file).origins == ("https://b.example", "capacitor://localhost")
    assert read_config({"CAAS_ORIGINS": ""}, file).origins == ()


@pytest.mark.parametrize("text", ["balancer.example", "10.0.0.1/8", "10.0.0.256"])
def test_balancers_are_addresses_or_networks(text: str) -> None:
    assert read_config({"CAAS_PROXIES": "10.0.0.7, fd00::/8"}).proxies == ("10.0.0.7/32", "fd00::/8")
    with pytest.raises(BadConfig, match=r"CAAS_PROXIES=.*a network as `10.0.0.0/8`"):
        read_config({"CAAS_PROXIES": text})


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no such file"):
        read_config({}, tmp_path / "none.toml")


def test_a_worker_is_given_the_same(tmp_path: Path) -> None:
    config = Config(data=tmp_path, port=7, limits=False, dev=True, drain_s=1.5, origins=("https://a.example", "*"),
                    proxies=(Network("10.0.0.7"), Network("172.28.0.0/16")))
    assert read_config(to_environment(config)) == config
