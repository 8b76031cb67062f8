"""`caas dev` and `caas serve`: the workers as child processes, on one shared port, and what a newcomer is told."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from msgspec.structs import replace

from caas.config import Config, to_environment
from caas.ready import ready_file
from supervisor.processes import Command, ProcessSupervisor

_LOOK_S = 0.02


def run_workers(config: Config) -> int:
    """Start the workers, say when they serve, keep them alive until we are told to stop; the exit code."""
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _reserved(config) as port:
        return trio.run(_run, replace(config, port=port))


async def _run(config: Config) -> int:
    names = [f"w{number}" for number in range(1, config.workers + 1)]
    files = [ready_file(config.data, config.worker_named(name)) for name in names]
    for file in (*files, *(config.data / "metrics").glob("*.db")):  # counts begin anew with the node
        file.unlink(missing_ok=True)
    environment = to_environment(config)
    commands = [Command(name, [sys.executable, "-m", "caas", "worker"], {**environment, "CAAS_WORKER": name}) for name in names]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_welcome_when, files, config)
        code = await ProcessSupervisor(commands, grace=config.drain_s + 5).run()
        nursery.cancel_scope.cancel()
    return code


async def _welcome_when(files: list[Path], config: Config) -> None:
    """Say that we serve when every worker does."""
    while not all(file.exists() for file in files):  # noqa: ASYNC110 - other processes make them
        await trio.sleep(_LOOK_S)
    _welcome(config)


@contextmanager
def _reserved(config: Config) -> Iterator[int]:
    """The port, bound and never listened on: it stays ours while workers come and go, and 0 becomes a real one."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind((config.host, config.port))
        except OSError as error:
            sys.exit(f"caas: port {config.port} of {config.host} is taken ({error.strerror}): stop what uses it, or choose another with --port")
        port: int = holder.getsockname()[1]
        yield port


def _welcome(config: Config) -> None:
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
    base = f"http{'s' if config.tls_certificate else ''}://{host}:{config.port}"
    print(f"ready {base}", flush=True)
    if config.dev:
        print(_TRY.format(base=base, socket=base.replace("http", "ws", 1)), flush=True)


_TRY = """
  Open {base}/ : alice and bob, side by side.

  Or by hand. A token for alice:
    curl -s {base}/api/v1/sessions/create -H 'Authorization: Bearer caas_sk_dev' \\
      -H 'Content-Type: application/json' -d '{{"user": {{"external_id": "alice"}}}}'

  What was said in the lobby, as the application's backend would ask for alice:
    curl -s {base}/api/v1/conversations/lobby/messages -H 'Authorization: Bearer caas_sk_dev' -H 'CAAS-User: alice'

  Clients connect to {socket}/ws (subprotocol caas.v1, msgpack; caas.v1.json, the same as text).
  Stop with Ctrl-C.
"""
