"""The engines as they are outside: TLS alone, and nobody comes in without a user. A node serves on them; what is configured wrongly is said, by the
start and by `caas doctor`, with what to set.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pymongo import MongoClient

from bench.server import Server
from caas.checks import CHECKS, Found, Ground
from caas.config import Config, read_config
from caas.doctor import examine
from deploy.local.engine import Engine
from deploy.local.kafka import Kafka
from deploy.local.mongo import Mongo
from deploy.local.ports import free_ports
from deploy.local.redis import Redis
from tests.engines.needing import needing
from tests.faults.test_stores_away import talking

pytestmark = pytest.mark.real

SECRET = "of-the-engines"


@dataclass(frozen=True)
class Secured:
    """Where they are, and what a node is told of them."""

    settings: dict[str, str]
    other_ca: str

    def configured(self, **changed: str) -> Config:
        return read_config({**self.settings, **{f"CAAS_{name.upper()}": value for name, value in changed.items()}})


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """All three, started with certificates that were made now."""
    folder = tmp_path_factory.mktemp("secured")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    (folder / "server.pem").write_bytes(issued(authority))
    ports = free_ports(4)
    with needing():
        engines: list[Engine] = [secured_kafka(folder, ports), secured_mongo(folder), secured_redis(folder, ports[3])]
    try:
        for engine in engines:
            trio.run(engine.start)
        make_users(engines[0].addresses[0])
        require_tls(engines[1], folder)
        yield Secured({
            "CAAS_BACKEND": "cluster", "CAAS_NODE": "n1", "CAAS_PARTITIONS": "4", "CAAS_KAFKA_REPLICAS": "1",
            "CAAS_ENGINES_CA": str(folder / "ca.pem"),
            "CAAS_KAFKA": f"127.0.0.1:{ports[2]}", "CAAS_KAFKA_TLS": "true", "CAAS_KAFKA_USER": "caas", "CAAS_KAFKA_PASSWORD": SECRET,
            "CAAS_MONGO": f"{mongo_address(engines[1])}&tls=true",
            "CAAS_REDIS": f"rediss://:{SECRET}@127.0.0.1:{ports[3]}/0",
        }, str(folder / "other.pem"))
    finally:
        for engine in engines:
            engine.drop()


def issued(authority: trustme.CA) -> bytes:
    """A certificate of this machine, behind its key as Kafka reads it."""
    made = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(made.private_key_pem.bytes(), None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key + b"".join(each.bytes() for each in made.cert_chain_pems)


def secured_kafka(folder: Path, ports: list[int]) -> Kafka:
    """Clients by TLS and SASL; a plain port besides, to make users by, which nodes are not told of."""
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return Kafka(folder, ports=ports[:2], settings={
        "listeners": f"PLAINTEXT://127.0.0.1:{ports[0]},SASL_SSL://127.0.0.1:{ports[2]},CONTROLLER://127.0.0.1:{ports[1]}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512", "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "ssl.keystore.type": "PEM", "ssl.keystore.location": str(folder / "server.pem")})


def make_users(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    user = UserScramCredentialUpsertion("caas", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), SECRET.encode())
    for done in admin.alter_user_scram_credentials([user]).values():
        done.result(10)


def secured_mongo(folder: Path) -> Mongo:
    return Mongo(folder, password=SECRET, options=["--tlsMode", "preferTLS", "--tlsCertificateKeyFile", str(folder / "server.pem"),
                                                   "--tlsCAFile", str(folder / "ca.pem"), "--tlsAllowConnectionsWithoutCertificates"])


def mongo_address(mongo: Engine) -> str:
    assert isinstance(mongo, Mongo)
    return mongo.uri


def require_tls(mongo: Engine, folder: Path) -> None:
    """From now on: until it was made a replica set it was spoken to without."""
    assert isinstance(mongo, Mongo)
    with MongoClient[Any](mongo.uri_of("admin", "admin"), tls=True, tlsCAFile=str(folder / "ca.pem")) as client:
        client.admin.command({"setParameter": 1, "tlsMode": "requireTLS"})


def secured_redis(folder: Path, port: int) -> Redis:
    pem = str(folder / "server.pem")
    return Redis(folder, options=["--tls-port", str(port), "--tls-cert-file", pem, "--tls-key-file", pem, "--tls-auth-clients", "no",
                                  "--tls-ca-cert-file", str(folder / "ca.pem"), "--requirepass", SECRET])


def look(config: Config, name: str) -> Found:
    return examine(next(check for check in CHECKS if check.name == name), Ground(config))


async def test_a_node_serves_on_them(secured: Secured, tmp_path: Path) -> None:
    with Server(tmp_path / "data", workers=1, log=tmp_path / "server.log", settings=secured.settings, ready_within_s=60) as server:
        async with talking(server, "alice") as alice:
            await alice.call("conversation.create", id="sealed", type="group", op="01890000-0000-7000-8000-000000000001")
            assert await alice.say("sealed", "nobody listens on the way") == 2
    assert "Redis cannot be reached" not in (tmp_path / "server.log").read_text()


@pytest.mark.parametrize("name", ["kafka", "mongodb", "redis"])
def test_the_doctor_finds_them_well(secured: Secured, name: str) -> None:
    found = look(secured.configured(), name)
    assert found.verdict in ("good", "doubtful"), found
    assert "SASL_SSL" in found.said or "TLS" in found.said


def without_tls(address: str) -> str:
    return address.replace("&tls=true", "").replace("rediss://", "redis://")


WRONG = [
    ("kafka", {"engines_ca": "OTHER"}, "CAAS_ENGINES_CA names"),
    ("kafka", {"engines_ca": ""}, "CAAS_ENGINES_CA names"),
    ("kafka", {"kafka_tls": "false"}, "CAAS_KAFKA_TLS=true"),
    ("kafka", {"kafka_password": "another"}, "CAAS_KAFKA_PASSWORD"),
    ("kafka", {"kafka_mechanism": "SCRAM-SHA-256"}, "CAAS_KAFKA_MECHANISM"),
    ("kafka", {"kafka_user": ""}, "go together"),
    ("kafka", {"engines_ca": "/nowhere/ca.pem"}, "cannot be read"),
    ("mongodb", {"engines_ca": "OTHER"}, "CAAS_ENGINES_CA names"),
    ("mongodb", {"mongo": "PLAIN"}, "`tls=true` in CAAS_MONGO"),
    ("mongodb", {"mongo": "PASSWORD"}, "or those in CAAS_MONGO"),
    ("redis", {"engines_ca": "OTHER"}, "CAAS_ENGINES_CA names"),
    ("redis", {"redis": "PLAIN"}, "`rediss://` in CAAS_REDIS"),
    ("redis", {"redis": "PASSWORD"}, "or those in CAAS_MONGO and CAAS_REDIS"),
]


@pytest.mark.parametrize(("name", "changed", "says"), WRONG, ids=[f"{name}: {changed}" for name, changed, _ in WRONG])
def test_the_doctor_says_what_is_wrong(secured: Secured, name: str, changed: dict[str, str], says: str) -> None:
    found = look(secured.configured(**spelled(secured, changed)), name)
    assert found.verdict == "bad"
    assert says in f"{found.said} → {found.mend}"


def spelled(secured: Secured, changed: dict[str, str]) -> dict[str, str]:
    """A table's words as settings."""
    (setting, word), = changed.items()
    usual = secured.settings.get(f"CAAS_{setting.upper()}", "")
    words = {"OTHER": secured.other_ca, "PLAIN": without_tls(usual), "PASSWORD": usual.replace(SECRET, "another")}
    return {setting: words.get(word, word)}


@pytest.mark.parametrize(("changed", "says"), [
    ({"mongo": "PASSWORD"}, "or those in CAAS_MONGO"), ({"kafka_password": "another"}, "CAAS_KAFKA_PASSWORD"),
    ({"kafka_tls": "false"}, "CAAS_KAFKA_TLS=true")], ids=str)
def test_a_node_that_is_told_wrongly_does_not_serve_and_says_why(secured: Secured, tmp_path: Path, changed: dict[str, str], says: str) -> None:
    wrong = {f"CAAS_{name.upper()}": value for name, value in spelled(secured, changed).items()}
    more = {"CAAS_DATA": str(tmp_path / "data"), "CAAS_PORT": "0", "CAAS_WORKER": "w1"}
    ran = subprocess.run([sys.executable, "-m", "caas", "worker"], env={**os.environ, **secured.settings, **more, **wrong}, capture_output=True,
                         text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert says in ran.stderr + ran.stdout
