"""The command line. What it does not need it does not import: the parent of the workers stays small and starts at once."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from caas import __version__
from caas.config import BadConfig, Config, read_config

app = App(name="caas", version=__version__, help="Chat as a service, self-hosted.")

Switch = Literal["on", "off"]
Data = Annotated[Path | None, Parameter(help="Folder for everything that lasts (CAAS_DATA).")]
Port = Annotated[int | None, Parameter(help="Port to listen on; 0 picks a free one (CAAS_PORT).")]
Workers = Annotated[int | None, Parameter(help="Worker processes (CAAS_WORKERS).")]
Limits = Annotated[Switch, Parameter(help="off: lift rates, counts per user and address, and the accept rate.")]
ConfigFile = Annotated[Path | None, Parameter(name="--config", help="A caas.toml.")]


@app.command
def dev(*, port: Port = None, data: Data = None, workers: Workers = None, limits: Limits = "on") -> int:
    """Start the development set-up: application `dev`, users alice, bob and carol, and a page at / to chat on."""
    from caas.processes import run_workers

    return run_workers(_config(None, port=port, data=data, workers=workers, limits=_lifted(limits), dev=True, host="127.0.0.1",
                               log_format="console", log_level="warning"))


@app.command
def serve(*, port: Port = None, data: Data = None, workers: Workers = None, host: str | None = None, config: ConfigFile = None) -> int:
    """Serve, with workers under our own supervision."""
    from caas.processes import run_workers

    return run_workers(_config(config, port=port, data=data, workers=workers, host=host))


@app.command
def worker(*, config: ConfigFile = None) -> int:
    """Be one worker: join the node's ring, share the port, leave drained on SIGTERM. For systemd, Kubernetes or a Procfile."""
    from caas.worker import run

    return run(_config(config))


@app.command
def application(name: str, *, environment: Literal["live", "test"] = "live", data: Data = None, config: ConfigFile = None) -> int:
    """Make an application, and print its keys. The secret key is shown this once. The server may be running."""
    from caas.applications import make_application

    return make_application(_config(config, data=data), name, environment)


@app.command
def echo(*, port: int, max_message: int = 65_536, max_fragments: int = 32) -> None:
    """The WebSocket transport alone: sends back what it gets, at any path."""
    import trio

    from transport.echo import echo

    trio.run(echo, port, max_message, max_fragments)


@app.command
def tree(*, data: Data = None, config: ConfigFile = None) -> int:
    """Print the live supervision tree of every worker of this node, with mailbox depths."""
    from caas.tree import show_trees

    return show_trees(_config(config, data=data).data)


@app.command
def version() -> None:
    """Print the version."""
    print(__version__)


def _lifted(limits: Switch) -> bool | None:
    return False if limits == "off" else None


def _config(file: Path | None, **given: Any) -> Config:
    try:
        return read_config(file=file, **given)
    except BadConfig as bad:
        sys.exit(f"caas: {bad}")


def main() -> None:
    """The `caas` command."""
    result = app()
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
