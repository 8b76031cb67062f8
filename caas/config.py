"""The configuration: `CAAS_*` in the environment beats `caas.toml` beats these defaults. Read once, at start; every value with its unit."""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.rates.model import CLASSES, Policy, changed

SECONDS = 1.0
Origin = Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/,\sA-Z]+)$")]


class Network(str):
    """An address, or a network as `10.0.0.0/8`."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Network":
        """Raises ValueError with what would be right."""
        try:
            return super().__new__(cls, ipaddress.ip_network(text))
        except ValueError as error:
            raise ValueError(f"{error}; an address, or a network as `10.0.0.0/8`") from error


class ByClass(dict[str, float]):
    """A number for each class of commands that is named. In the environment `send=10,read=50`, in `caas.toml` a table."""

    @classmethod
    def read(cls, given: Any, *, whole: bool) -> "ByClass":
        """From text or a table. Raises ValueError with what would be right."""
        pairs = given.items() if isinstance(given, dict) else [pair.split("=", 1) for pair in str(given).split(",") if pair]
        read = cls()
        for pair in pairs:
            name, number = (str(part).strip() for part in (*pair, "")[:2])
            if name not in CLASSES:
                raise ValueError(f"there is no class `{name}`; there are {', '.join(CLASSES)}")
            read[name] = _number(name, number, whole=whole)
        return read

    def __str__(self) -> str:
        return ",".join(f"{name}={number:g}" for name, number in self.items())


class PerSecond(ByClass):
    """Commands a second."""


class Bursts(ByClass):
    """Commands at once."""


def _number(name: str, text: str, *, whole: bool) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    least, most, kind = (1.0, 1e6, "a whole number from 1") if whole else (0.001, 1e6, "a number from 0.001")
    if not least <= number <= most or (whole and number % 1):
        raise ValueError(f"`{name}` must be {kind} to 1000000")
    return number


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set. `caas.toml` uses these names; in the environment they are upper-case behind `CAAS_`."""

    backend: Literal["embedded", "cluster"] = "embedded"
    node: Annotated[str, Meta(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_-]{0,39})?$")] = ""
    """Name of this node where several share a set-up; no two have the same. Empty: it is the only one."""
    data: Path = Path("data")
    """Folder: the master key, `run/` for the workers' sockets, and, embedded, the database."""
    kafka: str = ""
    """Cluster: the brokers, `host:port`, separated by commas."""
    kafka_replicas: Annotated[int, Meta(ge=1, le=9)] = 3
    """Of the log's topic. Fewer than 3 lose what was acknowledged with a disk: for development alone."""
    kafka_create_topics: bool = True
    """Whether topics that are missing are made. Without it the server says how to make them."""
    kafka_tls: bool = False
    """Whether the brokers' port speaks TLS."""
    kafka_user: str = ""
    """Who we are to the brokers (SASL). Empty: nobody in particular."""
    kafka_password: str = ""
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    kafka_properties: str = ""
    """A file of further settings of librdkafka, `name=value` a line: for what is not named here."""
    mongo: str = ""
    """Cluster: the replica set's URI; with `tls=true` by TLS."""
    redis: str = ""
    """Cluster: the URL; `rediss://` by TLS."""
    engines_ca: str = ""
    """PEM file of the authority that signed the engines' certificates. Empty: those that this machine trusts."""
    engines_certificate: str = ""
    """PEM file with a certificate and its key, for engines that want to see one of ours."""
    registry: str = ""
    """Cluster: the schema registry's URL, of Confluent's API. Empty: no schemas are registered."""
    setup: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$")] = "caas"
    """What the names of this set-up's topics, database and keys begin with: several may share the engines."""
    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` for all."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 3000
    workers: Annotated[int, Meta(ge=1, le=256)] = 2
    """Processes of `caas serve` and `caas dev`."""
    partitions: Annotated[int, Meta(ge=1, le=1_024)] = 64
    """Fixed when a set-up is made."""
    tls_certificate: str = ""
    """PEM file; with it the port speaks TLS."""
    tls_key: str = ""
    origins: tuple[Origin, ...] = ()
    """Web pages that may open a WebSocket, as browsers name them (`https://app.example.com`; in the environment separated by commas);
    `*`: any. Pages of the very name and port they connect to, and clients that are no browser, always may."""
    proxies: tuple[Network, ...] = ()
    """Where balancers speak from (`10.0.0.7`, `172.28.6.0/24`; in the environment separated by commas): every connection from there begins
    with a PROXY header, and counts as the client's that it names."""
    drain_s: Annotated[float, Meta(ge=0, le=600)] = 20 * SECONDS
    """For connections to leave when a worker stops."""
    canary_s: Annotated[float, Meta(ge=0, le=3_600)] = 15 * SECONDS
    """How often the node says something to itself, to see that all of it comes back (`caas/canary.py`); 0: never."""
    limits: bool = True
    """Rates and counts per user and address, and the accept rate. Sizes and deadlines are never lifted."""
    user_rates_per_s: PerSecond = PerSecond()
    """What a user may send, by class; classes that are not named keep their defaults (services/rates/model.py)."""
    user_bursts: Bursts = Bursts()
    application_rates_per_s: PerSecond = PerSecond()
    """What an application's secret keys may send, all together."""
    application_bursts: Bursts = Bursts()
    tenant_rates_per_s: PerSecond = PerSecond()
    """What an application and all its users may send together."""
    tenant_bursts: Bursts = Bursts()
    accelerated: Literal["auto", "on", "off"] = "auto"
    """Compiled modules (`accelerator/`): taken where they are installed and fit; `on` does not begin without them."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    dev: bool = False
    """The development set-up: its fixed keys, and the page at `/`, for this machine alone."""

    def worker_named(self, name: str) -> str:
        """A worker's whole name, which no worker of any node has besides."""
        return f"{self.node}-{name}" if self.node else name

    def policy(self) -> Policy | None:
        """The rates; None when they are lifted."""
        if not self.limits:
            return None
        usual = Policy()
        return Policy(user=changed(usual.user, self.user_rates_per_s, self.user_bursts),
                      application=changed(usual.application, self.application_rates_per_s, self.application_bursts),
                      tenant=changed(usual.tenant, self.tenant_rates_per_s, self.tenant_bursts))


class BadConfig(Exception):
    """A value that cannot be used: which one, where it stands, and what would be right."""


def read_config(environment: Mapping[str, str] = os.environ, file: Path | None = None, **given: Any) -> Config:
    """The configuration. `given` (the command line) beats all. Raises BadConfig."""
    path = file or Path(environment.get("CAAS_CONFIG", "caas.toml"))
    values: dict[str, tuple[Any, str]] = {name: (value, f"{path}: {name} = {value!r}") for name, value in _from_file(path, file).items()}
    for name, value in _from_environment(environment).items():
        values[name] = (value, f"CAAS_{name.upper()}={_as_text(tuple(value) if isinstance(value, list) else value)}")
    for name, value in given.items():
        if value is not None:
            values[name] = (value, f"--{name.replace('_', '-')} {value}")
    return _made(values)


def to_environment(config: Config) -> dict[str, str]:
    """The configuration as `CAAS_*`, for a worker process."""
    return {f"CAAS_{name.upper()}": _as_text(value) for name, value in msgspec.structs.asdict(config).items()}


def _from_file(path: Path, asked_for: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        if asked_for is not None:
            raise BadConfig(f"{path}: there is no such file") from None
        return {}
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise BadConfig(f"{path}: {error}") from error


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(int(value) if isinstance(value, bool) else value)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    names = set(Config.__struct_fields__)
    texts = {name: environment[f"CAAS_{name.upper()}"] for name in sorted(names) if f"CAAS_{name.upper()}" in environment}
    return {name: _as_list(text) if name in _LISTS else text for name, text in texts.items()}


def _as_list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


_LISTS = frozenset({"origins", "proxies"})
_NEEDED = {
    "node": "node-1, a name of this node alone",
    "kafka": "127.0.0.1:9092",
    "mongo": "mongodb://127.0.0.1:27017/?replicaSet=caas",
    "redis": "redis://127.0.0.1:6379/0",
}
"""What the cluster does not begin without, and what it looks like."""


def _made(values: Mapping[str, tuple[Any, str]]) -> Config:
    known = {field.name: field for field in msgspec.structs.fields(Config)}
    for name, (value, where) in values.items():
        if name not in known:
            raise BadConfig(f"{where}: there is no setting `{name}`; there are {', '.join(known)}")
        try:
            msgspec.convert(value, known[name].type, strict=False, dec_hook=_custom)
        except msgspec.ValidationError as error:
            raise BadConfig(f"{where}: {error}") from error
    config = msgspec.convert({name: value for name, (value, _) in values.items()}, Config, strict=False, dec_hook=_custom)
    for name, like in _NEEDED.items() if config.backend == "cluster" else ():
        if not getattr(config, name):
            raise BadConfig(f"{values['backend'][1]}: the cluster needs CAAS_{name.upper()}, for example {like}")
    return config


def _custom(kind: type, value: Any) -> Any:
    if issubclass(kind, Network):
        return Network(value)
    if issubclass(kind, ByClass):
        return kind.read(value, whole=kind is Bursts)
    if kind is Path or issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(f"{kind} cannot be configured")
