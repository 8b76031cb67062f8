"""One worker process: joins the node's ring, serves, and leaves it drained when it is told to stop."""

import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from caas import logs
from caas.acceleration import current
from caas.config import Config
from caas.devdata import make_dev_data
from caas.ready import ready_file
from caas.wiring import open_worker
from caas.world import SystemWorld
from storage.failing import Fatal, Unfit
from storage.ports.errors import StorageError
from supervisor.processes import wait_orphaned

_SWITCH_S = 0.0005
"""How long a thread may keep the interpreter while another waits: the storage thread gives it away at every step of SQLite."""

_log = logging.getLogger("caas")

def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    world = SystemWorld()
    name = config.worker_named(os.environ.get("CAAS_WORKER", "") or f"w{os.getpid()}")
    logs.set_up(config.log_level, config.log_format, worker=name)
    if current().wrong:
        _log.warning("in pure Python: %s", current().said)
    _raise_limits()
    sys.setswitchinterval(_SWITCH_S)
    return trio.run(_serve, config, world, name)


async def _serve(config: Config, world: SystemWorld, name: str) -> int:
    failed = 0
    file = ready_file(config.data, name)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        try:
            async with open_worker(config, world, name, _end_at_once) as worker:
                if config.dev:
                    await make_dev_data(worker)
                _calm_collector()
                file.write_text(f"{os.getpid()}\n")
                _log.info("serving, %s", "accelerated" if current().on else "in pure Python")
                failed = await _until_told(signals, worker.assembly.reader.outdated)
                file.unlink(missing_ok=True)
        except* (StorageError, Unfit, Fatal) as group:
            _log.critical("storage failed, and this worker stops: %s", _first(group))
            failed = 1
    return failed


def _end_at_once(fatal: Fatal) -> None:
    """Nothing is tidied up, and nobody is answered any more: what this worker knows may not be what is on the disk, and whom it serves and
    what it holds must not wait for a storage that is gone. All comes back as after any crash."""
    _log.critical("storage failed, and this worker ends at once: %s", fatal)
    os._exit(1)


def _first(group: BaseException) -> str:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return f"{type(group).__name__}: {group}"


async def _until_told(signals: AsyncIterator[int], outdated: trio.Event) -> int:
    """Until a signal comes or the parent that started us is gone (0), or the log has become too new for this program (1)."""
    async with trio.open_nursery() as nursery:

        async def until(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(until, wait_orphaned)
        nursery.start_soon(until, outdated.wait)
        async for _ in signals:
            break
        nursery.cancel_scope.cancel()
    return int(outdated.is_set())


def _raise_limits() -> None:
    """As many descriptors as this machine lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _calm_collector() -> None:
    """What was made at start stays: the collector need not look at it again, and need not look often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
