"""What the commands of the command line have in common: their options, and the end of a command that cannot do as it was asked."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from caas.config import BadConfig, Config, read_config

Switch = Literal["on", "off"]
Data = Annotated[Path | None, Parameter(help="Folder for everything that lasts (CAAS_DATA).")]
Port = Annotated[int | None, Parameter(help="Port to listen on; 0 picks a free one (CAAS_PORT).")]
Workers = Annotated[int | None, Parameter(help="Worker processes (CAAS_WORKERS).")]
Limits = Annotated[Switch, Parameter(help="off: lift rates, counts per user and address, and the accept rate.")]
ConfigFile = Annotated[Path | None, Parameter(name="--config", help="A caas.toml.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="For machines: JSON, times in milliseconds since 1970.")]


class Mistake(Exception):
    """What was typed, or the set-up it was typed for, cannot be: one line that says what to do, and exit code 2."""


def config_of(file: Path | None, **given: Any) -> Config:
    """The configuration, with what was given on the command line. Raises Mistake."""
    try:
        return read_config(file=file, **given)
    except BadConfig as bad:
        raise Mistake(str(bad)) from bad
