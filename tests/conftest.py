"""The real engines, for any test that names one: `async def test_it(kafka, mongo): ... kafka.bootstrap ... mongo.uri`.

One of each a test run, with one member, started when the first test names it. A test takes topics, databases and key prefixes of its own.
Tests that kill members start three of their own: `async with engines.kafka(tmp_path, brokers=3)`, inside `needing()`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory

import pytest
import trio

from deploy.local.engines import Engine, Kafka, Mongo, Redis, Registry
from tests.engines.needing import needing

os.environ.setdefault("CAAS_ACCELERATED", "off")  # what is tested is the sources, unless it is asked for otherwise (tests/accelerated.py)


ENGINES = {"kafka", "mongo", "redis", "registry"}
SHARING = {"bench", "fuzz", "journeys", "sdk", "wire"}
"""Folders whose tests share a server."""


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Where several processes share the tests, those that share a server stay together, and so do those of a file."""
    for item in items:
        folders = item.path.parent.relative_to(config.rootpath).parts
        sharing = next((folder for folder in folders if folder in SHARING), None)
        group = "engines" if ENGINES & set(getattr(item, "fixturenames", ())) else sharing or str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def _running(make: Callable[[], Engine]) -> Iterator[Engine]:
    with needing():
        engine = make()
    try:
        trio.run(engine.start)
        yield engine
    finally:
        engine.drop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One broker; `bootstrap`."""
    yield from _running(lambda: Kafka(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A replica set of one; `uri`. In memory where that can be had: what is put to it here is its answers, and not its disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and disk_usage(memory).free > 2 * 1024**3
    with TemporaryDirectory(dir=memory if roomy else None) as folder:
        yield from _running(lambda: Mongo(Path(folder)))


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server; `url`."""
    yield from _running(lambda: Redis(tmp_path_factory.mktemp("redis")))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A schema registry; `url`."""
    yield from _running(lambda: Registry(tmp_path_factory.mktemp("registry")))
