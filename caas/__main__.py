"""The command line. What it does not need it does not import: the parent of the workers stays small and starts at once."""

import sys

from cyclopts import App, CycloptsError

from caas import __version__
from caas.acceleration import Choice, Unfit, accelerate
from caas.options import ConfigFile, Data, Limits, Mistake, Port, Switch, Workers, config_of

app = App(name="caas", version=__version__, help="Chat as a service, self-hosted.")
app.command("caas.apps:app", name="app", help="Applications: the tenants of this set-up.")
app.command("caas.keys:app", name="keys", help="An application's secret keys, and the keys it signs user tokens with.")
app.command("caas.tokens:token", name="token", help="Print a user token and a refresh token, to try things out.")
app.command("caas.chat:chat", name="chat", help="Chat in the terminal, as a user: beside `caas dev`, or with the secret key of an application.")
app.command("caas.doctor:doctor", name="doctor", help="Look whether everything here is fit to serve, and say what to mend.")
app.command("caas.move:move", name="move", help="Move a set-up from one machine to a cluster, or back: ids, seqs and clients stay.")
app.command("caas.backups:backup", name="backup", help="Copy the data of one moment into a file, while the server runs.")
app.command("caas.backups:restore", name="restore", help="Put a backup in the place of the data; clients are told what is lost.")
app.command("caas.backups:scrub", name="scrub", help="Read everything that lasts, and say what is not what was written.")
app.command("sim.command:sim", name="sim", help="Run the simulated world, seed by seed, and check that nothing is lost, doubled or reordered.")
app.command("bench.face:bench", name="bench", help="Put load on a set-up, and show how late deliveries and answers are.")


@app.command
def dev(*, port: Port = None, data: Data = None, workers: Workers = None, limits: Limits = "on") -> int:
    """Start the development set-up: application `dev`, users alice, bob and carol, and a page at / to chat on."""
    from caas.processes import run_workers

    return run_workers(config_of(None, port=port, data=data, workers=workers, limits=_lifted(limits), dev=True, host="127.0.0.1",
                                 log_format="console", log_level="warning"))


@app.command
def serve(*, port: Port = None, data: Data = None, workers: Workers = None, host: str | None = None, config: ConfigFile = None) -> int:
    """Serve, with workers under our own supervision."""
    from caas.processes import run_workers

    return run_workers(config_of(config, port=port, data=data, workers=workers, host=host))


@app.command
def worker(*, config: ConfigFile = None) -> int:
    """Be one worker: join the node's ring, share the port, leave drained on SIGTERM. For systemd, Kubernetes or a Procfile."""
    settings = config_of(config)
    _accelerate(settings.accelerated)
    from caas.worker import run

    return run(settings)


@app.command
def echo(*, port: int, max_message: int = 65_536, max_fragments: int = 32) -> None:
    """The WebSocket transport alone: sends back what it gets, at any path."""
    _accelerate(config_of(None).accelerated)
    import trio

    from transport.echo import echo

    trio.run(echo, port, max_message, max_fragments)


@app.command
def tree(*, data: Data = None, config: ConfigFile = None) -> int:
    """Print the live supervision tree of every worker of this node, with mailbox depths."""
    from caas.tree import show_trees

    return show_trees(config_of(config, data=data).data)


@app.command
def rebuild(*, data: Data = None, config: ConfigFile = None) -> int:
    """Make everything anew that follows from the stored entries: heads, members, reactions, pointers... Nothing may be running."""
    from caas.rebuild import rebuild

    return rebuild(config_of(config, data=data))


@app.command
def version() -> None:
    """Print the version."""
    print(__version__)


def _accelerate(choice: Choice) -> None:
    """Before anything is imported that may be compiled."""
    try:
        accelerate(choice)
    except Unfit as unfit:
        raise Mistake(str(unfit)) from unfit


def _lifted(limits: Switch) -> bool | None:
    return False if limits == "off" else None


def main() -> None:
    """The `caas` command. Exit codes: 0 done, 1 it failed, 2 it was asked for something that cannot be."""
    try:
        result = app(sys.argv[1:], exit_on_error=False, print_error=False)
    except Mistake as mistake:
        result = _mistaken(str(mistake))
    except CycloptsError as error:
        result = _mistaken(" ".join(str(error).split()) + " `caas --help` shows what there is.")
    sys.exit(result if isinstance(result, int) else 0)


def _mistaken(line: str) -> int:
    print(f"caas: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
