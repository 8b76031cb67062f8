"""A worker that meets a log it cannot read leaves by itself, and its clients go elsewhere."""

import os
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio

from caas.config import Config, to_environment
from caas.processes import _reserved
from caas.ready import ready_file
from services.deciding import RULES
from storage.embedded import open_embedded
from storage.ports.entry import decode_entry, encode_entry
from tests.contracts.data import append, entry, record
from tests.transport.conftest import Client, request

pytestmark = pytest.mark.real


def status(port: int, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return int(answer.status)


@asynccontextmanager
async def serving(data: Path, port: int) -> AsyncIterator[trio.Process]:
    """One worker, as systemd would run it; killed in the end, if it has not left by itself."""
    environment = {**os.environ, **to_environment(Config(data=data, port=port, drain_s=5)), "CAAS_WORKER": "w1"}
    process = await trio.lowlevel.open_process([sys.executable, "-m", "caas", "worker"], env=environment)
    try:
        while not ready_file(data, "w1").exists():
            await trio.sleep(0.02)
        yield process
    finally:
        process.kill()


async def test_rules_that_only_a_newer_program_knows_close_with_4400_and_end_the_worker(tmp_path: Path) -> None:
    with _reserved(Config()) as port, trio.fail_after(60):
        async with serving(tmp_path, port) as worker:
            assert await trio.to_thread.run_sync(status, port, "/ready") == 200
            client = Client(await trio.open_tcp_stream("127.0.0.1", port))
            await client.send(request())
            assert (await client.head()).startswith(b"HTTP/1.1 101 ")
            async with open_embedded(tmp_path) as newer:
                large = msgspec.structs.replace(decode_entry(entry(1)), rules=RULES + 1)
                await append(newer.log, record(1)._replace(entries=[encode_entry(large)]))
            assert await client.receive_close() == (4400, "going_away")
            await client.stream.aclose()
            assert await worker.wait() == 1
            assert not ready_file(tmp_path, "w1").exists()
