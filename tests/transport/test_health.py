"""Figures: summed over the workers of a node, and what a killed worker counted still counts."""

import subprocess
import sys

import pytest
import trio

from transport.health import Metrics

WORKER = """
import os
import sys
from pathlib import Path
from transport.health import Metrics
made = Metrics(Path(sys.argv[1]), sys.argv[2], lambda: ())
made.count("caas_messages", "Messages.", lambda: int(sys.argv[3]))
made.level("caas_connections", "Connections.", lambda: int(sys.argv[3]))
made.requested("GET", "/x", 200, 0.2)
made.push()
os._exit(9)  # as SIGKILL: nothing is tidied up
"""


def figures(text: bytes) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


@pytest.fixture
def killed(tmp_path):
    """A worker that counted and was killed."""

    def run(worker: str, number: int) -> None:
        subprocess.run([sys.executable, "-c", WORKER, str(tmp_path), worker, str(number)], check=False, timeout=30)

    return run


async def test_counts_are_summed_over_workers_and_lives_and_levels_over_the_living(tmp_path, killed):
    killed("w2", 3)
    killed("w2", 4)  # the same worker's next life
    killed("w3", 10)
    made = Metrics(tmp_path, "w1", lambda: ("w1", "w2"))
    messages = 5
    made.count("caas_messages", "Messages.", lambda: messages)
    made.level("caas_connections", "Connections.", lambda: 2)
    read = figures(made.text())
    assert read["caas_messages_total"] == 5 + 3 + 4 + 10
    assert read["caas_connections"] == 2 + 4  # w3 is gone, and its connections with it
    assert read['caas_http_requests_total{method="GET",route="/x",status="200"}'] == 3
    assert read['caas_http_request_seconds_bucket{le="0.25"}'] == 3
    messages = 6
    assert figures(made.text())["caas_messages_total"] == 23
    assert figures(made.text())["caas_messages_total"] == 23


async def test_what_was_added_is_written_each_second_and_levels_end_with_the_worker(tmp_path, autojump_clock):
    made = Metrics(tmp_path, "w1", lambda: ("w1",))
    added = 0
    made.count("caas_messages", "Messages.", lambda: added)
    made.level("caas_connections", "Connections.", lambda: 7)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        await trio.sleep(0.5)
        added = 9
        await trio.sleep(1.0)
        other = Metrics(tmp_path, "w2", lambda: ("w1", "w2"))
        assert figures(other.text())["caas_messages_total"] == 9
        added = 10
        nursery.cancel_scope.cancel()
    read = figures(other.text())
    assert (read["caas_messages_total"], read["caas_connections"]) == (10, 0)
