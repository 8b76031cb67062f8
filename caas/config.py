"""The configuration: `CAAS_*` in the environment beats `caas.toml` beats these defaults. Read once, at start; every value with its unit."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

SECONDS = 1.0


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set. `caas.toml` uses these names; in the environment they are upper-case behind `CAAS_`."""

    backend: Literal["embedded"] = "embedded"
    data: Path = Path("data")
    """Folder: the database, the master key, and `run/` for the workers' sockets."""
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
    drain_s: Annotated[float, Meta(ge=0, le=600)] = 20 * SECONDS
    """For connections to leave when a worker stops."""
    limits: bool = True
    """Rates and counts per user and address, and the accept rate. Sizes and deadlines are never lifted."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    dev: bool = False
    """The development set-up: its fixed keys, and the page at `/`, for this machine alone."""


class BadConfig(Exception):
    """A value that cannot be used: which one, where it stands, and what would be right."""


def read_config(environment: Mapping[str, str] = os.environ, file: Path | None = None, **given: Any) -> Config:
    """The configuration. `given` (the command line) beats all. Raises BadConfig."""
    path = file or Path(environment.get("CAAS_CONFIG", "caas.toml"))
    values: dict[str, tuple[Any, str]] = {name: (value, f"{path}: {name} = {value!r}") for name, value in _from_file(path, file).items()}
    for name, value in _from_environment(environment).items():
        values[name] = (value, f"CAAS_{name.upper()}={value}")
    for name, value in given.items():
        if value is not None:
            values[name] = (value, f"--{name.replace('_', '-')} {value}")
    return _made(values)


def to_environment(config: Config) -> dict[str, str]:
    """The configuration as `CAAS_*`, for a worker process."""
    return {f"CAAS_{name.upper()}": str(int(value) if isinstance(value, bool) else value) for name, value in msgspec.structs.asdict(config).items()}


def _from_file(path: Path, asked_for: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        if asked_for is not None:
            raise BadConfig(f"{path}: there is no such file") from None
        return {}
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path}: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = set(Config.__struct_fields__)
    return {name: environment[f"CAAS_{name.upper()}"] for name in sorted(names) if f"CAAS_{name.upper()}" in environment}


def _made(values: Mapping[str, tuple[Any, str]]) -> Config:
    known = {field.name: field for field in msgspec.structs.fields(Config)}
    for name, (value, where) in values.items():
        if name not in known:
            raise BadConfig(f"{where}: there is no setting `{name}`; there are {', '.join(known)}")
        try:
            msgspec.convert(value, known[name].type, strict=False, dec_hook=_path)
        except msgspec.ValidationError as error:
            raise BadConfig(f"{where}: {error}") from error
    return msgspec.convert({name: value for name, (value, _) in values.items()}, Config, strict=False, dec_hook=_path)


def _path(kind: type, value: Any) -> Any:
    if kind is Path or issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(f"{kind} cannot be configured")
