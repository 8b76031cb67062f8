"""`caas doctor`: each check finds nothing on a set-up that is as it should be, and finds what was broken for it."""

import fcntl
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from msgspec import structs

from caas.acceleration import Acceleration
from caas.checks import CHECKS, Check, Found, Ground
from caas.checks.machine import Machine
from caas.checks.program import fits
from caas.config import Config
from caas.doctor import doctor, examine
from caas.secrets import master_key
from caas.world import SystemWorld
from services.vault.service import Vault
from storage.embedded.backend import open_embedded
from storage.ports.entry import decode_entry, encode_entry
from tests.contracts.data import append, entry, record

DOCS = Path(__file__).parents[2] / "docs" / "doctor.md"
BY_NAME = {check.name: check for check in CHECKS}
NOT_ROOT = os.getuid() != 0


class Told(Machine):
    """A machine of which some facts are told, and the others are true."""

    def __init__(self, **told: Any) -> None:
        for name, fact in told.items():
            setattr(self, name, fact if callable(fact) else lambda *_, fact=fact: fact)


async def _make(data: Path) -> None:
    world = SystemWorld()
    async with open_embedded(data, partitions=8) as backend:
        await Vault(backend.documents, world.rng, master_key(data, world.rng)).check()
        await append(backend.log, record(1))
        newest = structs.replace(decode_entry(entry(2)), at=world.clock.now_ms())
        await append(backend.log, record(2)._replace(entries=[encode_entry(newest)]))


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """A set-up as it should be, on a machine that is so too."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    trio.run(_make, data)
    machine = Told(filesystem="ext4", free_bytes=50 << 30, sync_seconds=0.001, files=65_536, processors=4,
                   acceleration=Acceleration(False, "not installed"))
    return Ground(Config(data=data, port=0, partitions=8), machine=machine)


def look(name: str, ground: Ground) -> Any:
    return examine(BY_NAME[name], ground)


def configured(ground: Ground, **values: Any) -> Ground:
    return replace(ground, config=structs.replace(ground.config, **values))


def told(ground: Ground, **facts: Any) -> Ground:
    return replace(ground, machine=Told(**{**vars(ground.machine), **facts}))


STALE = Acceleration(False, "it was built from other sources", wrong=True)

Broken = tuple[str, str, str, Callable[[Ground], Ground]]
"""Which check, its verdict, a word of what it says, and how the ground is broken for it."""


def data_of(ground: Ground) -> Path:
    return ground.config.data


def missing_package(ground: Ground) -> Ground:
    return told(ground, installed=lambda name: None if name == "trio" else Machine().installed(name))


def not_installed(ground: Ground) -> Ground:
    def needs() -> Any:
        raise PackageNotFoundError

    return told(ground, needs=needs)


def clashing(ground: Ground) -> Ground:
    return told(ground, package_folder=lambda name: Path("/opt/other/supervisor") if name == "supervisor" else Machine().package_folder(name))


def a_file(ground: Ground) -> Ground:
    path = data_of(ground).with_name("file")
    path.write_text("x")
    return configured(ground, data=path)


def unwritable(ground: Ground) -> Ground:
    """A place where nobody can write, not even root."""
    return configured(ground, data=Path("/proc/caas-data"))


def open_to_all(ground: Ground) -> Ground:
    data_of(ground).chmod(0o755)
    return ground


def failed_before(ground: Ground) -> Ground:
    (data_of(ground) / "fsync-failed").touch()
    return ground


def sql(ground: Ground, text: str) -> Ground:
    with closing(sqlite3.connect(data_of(ground) / "caas.sqlite")) as connection, connection:
        connection.execute(text)
    return ground


def rollback_mode(ground: Ground) -> Ground:
    with closing(sqlite3.connect(data_of(ground) / "caas.sqlite")) as connection:
        assert connection.execute("PRAGMA journal_mode=delete").fetchone() == ("delete",)
    return ground


def overwritten(ground: Ground, begin: int, fill: bytes) -> Ground:
    with (data_of(ground) / "caas.sqlite").open("r+b") as file:
        file.seek(begin)
        file.write(fill)
    return ground


def damaged_page(ground: Ground) -> Ground:
    size = (data_of(ground) / "caas.sqlite").stat().st_size
    for begin in range(4_096 * 3, size - 4_096, 4_096):
        overwritten(ground, begin + 8, b"\xff" * 64)
    return ground


def no_key(ground: Ground) -> Ground:
    (data_of(ground) / "master.key").unlink()
    return ground


def a_key(ground: Ground, text: bytes, mode: int = 0o600) -> Ground:
    path = data_of(ground) / "master.key"
    path.write_bytes(text or path.read_bytes())
    path.chmod(mode)
    return ground


def stale_socket(ground: Ground) -> Ground:
    (data_of(ground) / "run").mkdir()
    (data_of(ground) / "run" / "w9.sock").touch()
    return ground


def certificate(ground: Ground, **bounds: datetime) -> Ground:
    made = trustme.CA().issue_cert("chat.example.com", **bounds)
    folder = data_of(ground).parent
    for name, blob in (("cert.pem", made.cert_chain_pems[0]), ("key.pem", made.private_key_pem)):
        blob.write_to_path(str(folder / name))
    return configured(ground, tls_certificate=str(folder / "cert.pem"), tls_key=str(folder / "key.pem"))


def anothers_key(ground: Ground) -> Ground:
    first = certificate(ground)
    kept = Path(first.config.tls_certificate).read_bytes()
    certificate(ground)
    Path(first.config.tls_certificate).write_bytes(kept)
    return first


def from_now(**span: float) -> datetime:
    return datetime.now(UTC) + timedelta(**span)


NOBODY = "127.0.0.1:1"


def clustered(ground: Ground, **values: Any) -> Ground:
    """A node of a cluster; what secured engines say is in tests/engines/test_secured.py."""
    return configured(ground, backend="cluster", **values)


BROKEN: list[Broken] = [
    ("python", "bad", "3.10.12", lambda ground: told(ground, python=(3, 10, 12))),
    ("packages", "bad", "trio is missing", missing_package),
    ("packages", "bad", "trio 0.1", lambda ground: told(ground, installed=lambda name: "0.1" if name == "trio" else "999")),
    ("packages", "bad", "not installed", not_installed),
    ("names", "bad", "supervisor from /opt/other", clashing),
    ("names", "bad", "nowhere", lambda ground: told(ground, package_folder=None)),
    ("accelerator", "doubtful", "other sources; workers", lambda ground: told(ground, acceleration=STALE)),
    ("accelerator", "bad", "is on, and it was built from other sources",
     lambda ground: told(configured(ground, accelerated="on"), acceleration=STALE)),
    ("configuration", "bad", "no setting `ports`", lambda ground: replace(ground, bad_config="caas.toml: ports = 1: there is no setting `ports`")),
    ("configuration", "bad", "tls_certificate", lambda ground: configured(ground, tls_key="key.pem")),
    ("configuration", "bad", "known to everybody", lambda ground: configured(ground, dev=True, host="0.0.0.0")),
    ("configuration", "doubtful", "limits", lambda ground: configured(ground, limits=False, host="::")),
    ("configuration", "doubtful", "without TLS", lambda ground: configured(ground, host="chat.example.com")),
    ("configuration", "doubtful", "17 workers on 4", lambda ground: configured(ground, workers=17)),
    ("data folder", "bad", "is a file", a_file),
    ("data folder", "bad", "cannot be written", unwritable),
    ("data folder", "doubtful", "everybody", open_to_all),
    ("disk", "bad", "network", lambda ground: told(ground, filesystem="nfs4")),
    ("disk", "bad", "gone", lambda ground: told(ground, filesystem="tmpfs")),
    ("room", "bad", "0.1 GiB", lambda ground: told(ground, free_bytes=100 << 20)),
    ("room", "doubtful", "0.9 GiB", lambda ground: told(ground, free_bytes=900 << 20)),
    ("sync", "bad", "150.00 ms", lambda ground: told(ground, sync_seconds=0.15)),
    ("sync", "doubtful", "20.00 ms", lambda ground: told(ground, sync_seconds=0.02)),
    ("failed sync", "bad", "fsync", failed_before),
    ("sqlite", "bad", "3.34.1", lambda ground: told(ground, sqlite=(3, 34, 1))),
    ("settings", "bad", "delete mode", rollback_mode),
    ("integrity", "bad", "", damaged_page),
    ("integrity", "bad", "cannot be read", lambda ground: overwritten(ground, 0, b"no database at all" * 10)),
    ("version", "bad", "version 9999", lambda ground: sql(ground, "PRAGMA user_version=9999")),
    ("version", "doubtful", "version 1 of", lambda ground: sql(ground, "PRAGMA user_version=1")),
    ("partitions", "bad", "made with 8, configured are 64", lambda ground: configured(ground, partitions=64)),
    ("master key", "bad", "missing", no_key),
    ("master key", "bad", "others may read", lambda ground: a_key(ground, b"", 0o640)),
    ("master key", "bad", "32 bytes", lambda ground: a_key(ground, b"short")),
    ("master key", "bad", "not the one", lambda ground: a_key(ground, bytes(32))),
    ("clock", "bad", "never set", lambda ground: told(ground, now_ms=1_000)),
    ("clock", "bad", "60 s behind the newest entry", lambda ground: told(ground, now_ms=newest_ms(ground) - 60_000)),
    ("clock", "bad", "cannot be read", lambda ground: sql(ground, "UPDATE log SET data = x'00010203040506070809' WHERE place = 2")),
    ("kafka", "bad", "Connection refused", lambda ground: clustered(ground, kafka=NOBODY)),
    ("kafka", "bad", "go together", lambda ground: clustered(ground, kafka_user="caas")),
    ("mongodb", "bad", "Connection refused", lambda ground: clustered(ground, mongo=f"mongodb://{NOBODY}/?replicaSet=caas")),
    ("mongodb", "bad", "is no address", lambda ground: clustered(ground, mongo=NOBODY)),
    ("redis", "bad", "Connection refused", lambda ground: clustered(ground, redis=f"redis://{NOBODY}/0")),
    ("registry", "bad", "Connection refused", lambda ground: clustered(ground, registry=f"http://{NOBODY}")),
    ("tls", "bad", "runs out", lambda ground: certificate(ground, not_after=from_now(days=13))),
    ("tls", "bad", "runs out", lambda ground: certificate(ground, not_before=from_now(days=-9), not_after=from_now(days=-1))),
    ("tls", "bad", "not valid before", lambda ground: certificate(ground, not_before=from_now(days=2), not_after=from_now(days=90))),
    ("tls", "bad", "mismatch", anothers_key),
    ("tls", "bad", "No such file", lambda ground: configured(ground, tls_certificate="/nowhere.pem")),
    ("files", "bad", "256", lambda ground: told(ground, files=256)),
    ("files", "doubtful", "connections", lambda ground: told(ground, files=4_096)),
    ("run folder", "doubtful", "w9.sock", stale_socket),
]
"""What needs processes or ports has tests of its own below: port, locks, workers; and the canary in test_canary.py."""


def newest_ms(ground: Ground) -> int:
    with closing(sqlite3.connect(data_of(ground) / "caas.sqlite")) as connection:
        (data,) = connection.execute("SELECT data FROM log ORDER BY place DESC LIMIT 1").fetchone()
    return decode_entry(data).at


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_set_up_as_it_should_be_passes(name: str, ground: Ground) -> None:
    found = look(name, ground)
    assert found.verdict in ("good", "skipped"), found
    assert found.said and not found.mend


@pytest.mark.parametrize(("name", "verdict", "said", "break_it"), BROKEN, ids=[f"{name}: {said}" for name, _, said, _ in BROKEN])
def test_what_is_broken_is_found_and_can_be_mended(name: str, verdict: str, said: str, break_it: Callable[[Ground], Ground], ground: Ground) -> None:
    found = look(name, break_it(ground))
    assert found.verdict == verdict, found
    assert said in found.said
    assert found.mend


def test_nothing_that_needs_a_set_up_fails_before_there_is_one(ground: Ground, tmp_path: Path) -> None:
    fresh = configured(ground, data=tmp_path / "new" / "data")
    assert {check.name: found for check in CHECKS if (found := examine(check, fresh)).verdict not in ("good", "skipped")} == {}
    assert not (tmp_path / "new").exists()


def test_looking_changes_nothing(ground: Ground) -> None:
    def everything() -> dict[str, tuple[int, int]]:
        files = [path for path in data_of(ground).rglob("*") if not path.name.endswith("-shm")]
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    with closing(sqlite3.connect(data_of(ground) / "caas.sqlite")) as connection:
        connection.execute("SELECT 1 FROM settings").fetchone()  # keeps the write-ahead log there: the last to leave would remove it
        before = everything()
        for check in CHECKS:
            examine(check, ground)
        assert everything() == before


@pytest.mark.skipif(not NOT_ROOT, reason="root may read everything")
def test_what_may_not_be_read_is_bad(ground: Ground) -> None:
    data_of(ground).chmod(0)
    try:
        assert look("data folder", ground).verdict == look("master key", ground).verdict == "bad"
    finally:
        data_of(ground).chmod(0o700)


@pytest.mark.parametrize("error", [PermissionError("not yours"), ExceptionGroup("", [OSError("not yours")]), RuntimeError("not yours")])
def test_what_cannot_be_looked_at_is_bad_and_the_others_go_on(ground: Ground, error: Exception) -> None:
    def fails(_: Ground) -> Found:
        raise error

    found = examine(Check("x", "", fails), ground)
    assert (found.verdict, found.said) == ("bad", "it could not be looked at: not yours") and found.mend


# The port.


@contextmanager
def held(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def says(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(("status", "body", "verdict"), [(200, b'{"status":"ready"}', "good"), (503, b'{"status":"not ready"}', "doubtful"),
                                                         (200, b"<html>", "bad"), (404, b"", "bad")])
def test_a_port_that_is_taken_is_asked_whose_it_is(ground: Ground, status: int, body: bytes, verdict: str) -> None:
    with held(says(status, body)) as port:
        assert look("port", configured(ground, port=port)).verdict == verdict


def test_a_port_that_somebody_holds_and_says_nothing_on_is_bad(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caas.checks.network._ANSWERS_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = look("port", configured(ground, port=silent.getsockname()[1]))
    assert found.verdict == "bad" and "taken" in found.said
    assert look("port", configured(ground, port=0)).verdict == "good"


def test_an_address_that_is_not_ours_is_bad(ground: Ground) -> None:
    assert look("port", configured(ground, host="192.0.2.7", port=3000)).verdict == "bad"


# Locks and workers.


def test_a_writers_lock_that_is_never_given_back_is_bad(ground: Ground) -> None:
    impatient = told(ground, soon=lambda condition: condition())
    with (data_of(ground) / "writer.lock").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = look("locks", impatient)
    assert found.verdict == "bad" and found.mend
    assert look("locks", impatient).verdict == "good"


WORKER = """
import sys, trio
from pathlib import Path
from supervisor.workers import Membership
from transport.link import Links

class Answering:
    def asked(self, worker, message, answer): answer(["w"], None)
    def told(self, worker, message): pass
    def dropped(self, worker): pass

async def main(folder, name, linked):
    async with Membership(folder, name, missed=1e9), trio.open_nursery() as nursery:
        if linked:
            await nursery.start(Links(folder, name, Answering()).run)
        print("in", flush=True)
        await trio.sleep_forever()

trio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "linked")
"""


@contextmanager
def worker(ground: Ground, name: str, linked: str = "linked") -> Iterator[subprocess.Popen[str]]:
    folder = data_of(ground) / "run"
    with subprocess.Popen([sys.executable, "-c", WORKER, str(folder), name, linked], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "in\n"
            yield process
        finally:
            process.kill()


@pytest.mark.real
def test_workers_that_answer_are_good_and_one_that_is_stopped_or_mute_is_bad(ground: Ground) -> None:
    assert look("workers", ground).verdict == "skipped"
    with worker(ground, "w1") as first, worker(ground, "w2"):
        assert look("workers", ground) == ("good", "w1, w2 answer", "")
        assert look("run folder", ground).verdict == "good"
        first.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, first.pid, os.WSTOPPED)
        found = look("workers", ground)
        assert found.verdict == "bad" and f"w1 (pid {first.pid}) is stopped" in found.said
        first.send_signal(signal.SIGCONT)
    with worker(ground, "w3", "mute"):
        found = look("workers", ground)
        assert found.verdict == "bad" and "no answer from w3" in found.said
    assert look("run folder", ground).verdict == "doubtful"


# The command, and the page.


def test_the_command_prints_all_and_says_by_its_code_whether_something_is_bad(ground: Ground, capsys: pytest.CaptureFixture[str],
                                                                              monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAAS_PARTITIONS", "8")
    monkeypatch.setenv("CAAS_PORT", "0")
    doctor(data=data_of(ground), json=True)
    found = json.loads(capsys.readouterr().out)
    assert [one["check"] for one in found] == [check.name for check in CHECKS]
    assert all(one.keys() == {"check", "verdict", "said", "mend"} for one in found)
    monkeypatch.setenv("CAAS_PARTITIONS", "9")
    assert doctor(data=data_of(ground)) == 1
    out = capsys.readouterr().out
    assert "✗ partitions" in out and "→ set `partitions` to 8" in out
    (tmp_path / "caas.toml").write_text("port = 'many'")
    monkeypatch.delenv("CAAS_PORT")
    assert doctor(data=data_of(ground)) == 1
    assert "✗ configuration" in capsys.readouterr().out


def test_every_check_is_broken_once_and_stands_in_the_docs() -> None:
    elsewhere = {"port", "locks", "workers", "canary"}
    assert {name for name, *_ in BROKEN} | elsewhere == set(BY_NAME)
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [(check.name, check.asks) for check in CHECKS]


@pytest.mark.parametrize(("version", "bounds", "good"), [
    ("1.2", ">=1.2", True), ("1.10.0", ">=1.9", True), ("1.2", ">=1.3,<2", False), ("2.0", ">=1.3,<2", False), ("0.18.0", "==0.18.0", True),
    ("0.18.1", "==0.18.0", False), ("3.0+local", "", True), (None, "", False),
])
def test_bounds_of_versions(version: str | None, bounds: str, good: bool) -> None:
    assert fits(version, bounds) is good
