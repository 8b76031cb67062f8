"""The cluster on this machine: started in order, told by its command line, taken over by whoever comes next."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure

from deploy.local import packages
from deploy.local.balancer import with_nodes
from deploy.local.cluster import Cluster, Shape, Taken, made, read_kept, resized, write_kept
from deploy.local.lives import Life, life_of
from tests.engines.needing import needing

HERE = Path(__file__).parents[2]


def run(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """The command line: its exit code, and what it printed."""
    done = subprocess.run([sys.executable, "-m", "deploy.local", "--folder", str(folder), *arguments], cwd=HERE, capture_output=True, text=True,
                          timeout=120, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def states(folder: Path) -> dict[str, tuple[int, str]]:
    lines = [line.split() for line in run(folder, "status")[1]]
    return {name: (int(pid), state) for name, pid, _, state in lines}


@pytest.mark.real
def test_it_is_started_told_hurt_healed_and_stopped(tmp_path: Path) -> None:
    with needing():
        packages.kafka_classes(), packages.mongod(), packages.registry_jar(), packages.program("redis-server", "redis-server")
    write_kept(tmp_path, made(Shape(nodes=0, brokers=1, members=1), {}))
    try:
        code, said = run(tmp_path, "start", "--nodes", "0")
        assert (code, [line.split()[0] for line in said[:4]]) == (0, ["redis", "kafka", "registry", "mongo"])
        first = states(tmp_path)
        assert {name: state for name, (_, state) in first.items()} == dict.fromkeys(["redis", "kafka-1", "registry", "mongo-1"], "ready")
        assert run(tmp_path, "status")[0] == 0

        run(tmp_path, "kill", "redis")
        run(tmp_path, "pause", "mongo-1")
        assert states(tmp_path)["redis"] == (0, "gone")
        assert states(tmp_path)["mongo-1"] == (first["mongo-1"][0], "paused")
        assert run(tmp_path, "status")[0] == 1
        run(tmp_path, "resume", "mongo-1")
        assert run(tmp_path, "start", "--nodes", "0")[0] == 0
        again = states(tmp_path)
        assert {state for _, state in again.values()} == {"ready"}
        assert [name for name in first if first[name][0] != again[name][0]] == ["redis"]  # what ran was let be
        only_users_come_in(tmp_path)
    finally:
        assert run(tmp_path, "stop")[0] == 0
    assert {state for _, state in states(tmp_path).values()} == {"gone"}


def only_users_come_in(folder: Path) -> None:
    kept = read_kept(folder)
    assert kept is not None
    cluster = Cluster(folder, kept)
    with pymongo.MongoClient[dict[str, Any]](cluster.mongo.uri, timeoutMS=10_000) as caas:
        caas.caas.things.insert_one({"_id": 1})
        with pytest.raises(OperationFailure):
            caas.other.things.insert_one({"_id": 1})
    address = f"mongodb://{cluster.mongo.addresses[0]}/?directConnection=true"
    with pymongo.MongoClient[dict[str, Any]](address, timeoutMS=10_000) as stranger, pytest.raises(OperationFailure):
        stranger.caas.things.find_one()


def test_a_name_it_does_not_have_is_answered_with_those_it_has(tmp_path: Path) -> None:
    assert run(tmp_path, "status") == (1, ["no cluster was made here: make cluster"])
    assert run(tmp_path, "kill", "kafka-9")[0] == 2


def test_what_is_not_installed_is_said_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "deploy.local", "--folder", str(tmp_path), "start"], cwd=HERE, capture_output=True, text=True,
                          env={**os.environ, "PATH": str(tmp_path), "ENGINES": str(tmp_path / "none")}, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "apt-get install" in done.stderr


async def test_a_port_that_somebody_else_has_is_named_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with needing():
        cluster = Cluster(tmp_path, made(Shape(nodes=0, brokers=1, members=1), {}))
    with socket.create_server(("127.0.0.1", cluster.mongo.members["mongo-1"].port)), pytest.raises(Taken, match="mongo-1's port"):
        await cluster.start()
    assert not any(member.alive for member in cluster.members())


def test_what_is_kept_is_for_its_owner_alone_and_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = made(Shape(nodes=2, brokers=1, members=1), {})
    kept.lives["redis"] = life_of(os.getpid())
    write_kept(tmp_path, kept)
    assert (tmp_path / "cluster.json").stat().st_mode & 0o777 == 0o600
    assert read_kept(tmp_path) == kept


def test_more_nodes_and_another_port_keep_all_other_ports() -> None:
    kept = made(Shape(nodes=1, brokers=1, members=1), {})
    more = resized(kept, 3, 4000)
    assert more.shape.nodes == len(set(more.ports["nodes"])) == 3
    assert more.ports["nodes"][0] == kept.ports["nodes"][0]
    assert {**kept.ports, "nodes": more.ports["nodes"], "balancer": [4000]} == more.ports
    assert resized(more, 2, 3000).ports["nodes"] == more.ports["nodes"][:2]


def test_a_pid_that_was_given_anew_is_nobody_of_ours() -> None:
    mine = life_of(os.getpid())
    assert mine.state == "R"
    other = Life(mine.pid, mine.began - 1)
    assert other.state == ""
    other.signal(signal.SIGKILL)  # and so hits nobody


def test_a_process_that_has_ended_and_waits_for_its_parent_is_gone() -> None:
    process = subprocess.Popen(["sleep", "60"])
    life = life_of(process.pid)
    assert life.state != ""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert life.state == ""
    process.wait()


@pytest.mark.parametrize("count", [1, 5])
def test_the_balancer_has_a_line_for_each_node(count: int) -> None:
    lines = with_nodes((HERE / "deploy" / "haproxy.cfg").read_text(), count).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("    server ")] == [f"node-{number}" for number in range(1, count + 1)]
