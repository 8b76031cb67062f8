"""After a failed fsync nobody knows what is on the disk: every worker ends, and the next start begins with what can be read back."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from storage.embedded import Fatal, open_embedded
from storage.ports.entry import NOWHERE
from tests.contracts.data import append, record
from tests.storage.appender import PARTITIONS
from tests.storage.processes import appender, check

pytestmark = pytest.mark.real
STRACE = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]


def _can_inject() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run([*STRACE, "-e", "inject=fdatasync:error=EIO", sys.executable, "-c", "import os; os.fdatasync(1)"], capture_output=True)
    return b"OSError" in tried.stderr


needs_strace = pytest.mark.skipif(not _can_inject(), reason="NOT TESTED: needs strace that may trace, to make fsync fail")


@needs_strace
async def test_a_failed_fsync_ends_every_worker_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(Fatal, match="an fsync failed in some worker")):
        async with open_embedded(tmp_path, partitions=PARTITIONS):
            with appender(tmp_path, "failing", 4, [*STRACE, "-e", "inject=fdatasync,fsync:error=EIO:when=40+"]) as process:
                await trio.to_thread.run_sync(process.drain)
                assert process.process.returncode == 1
                assert "the commit failed: disk I/O error" in process.errors()
                assert (tmp_path / "fsync-failed").exists()
                with trio.fail_after(5):
                    await trio.sleep_forever()
    assert len(process.acknowledged) > 0
    with trio.fail_after(20):
        await check(tmp_path, process.acknowledged)
    assert not (tmp_path / "fsync-failed").exists()


async def test_who_serves_hears_of_it_before_anything_is_tidied_up(tmp_path: Path) -> None:
    heard = list[Fatal]()
    with pytest.RaisesGroup(Fatal):
        async with open_embedded(tmp_path, partitions=PARTITIONS, on_fatal=heard.append):
            (tmp_path / "fsync-failed").touch()
            try:
                await trio.sleep_forever()
            finally:
                assert ["an fsync failed in some worker" in str(fatal) for fatal in heard] == [True]


async def test_the_mark_of_a_failed_fsync_stays_until_all_have_seen_it(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, partitions=PARTITIONS):
        pass
    (tmp_path / "fsync-failed").touch()
    before = trio.current_time()
    async with open_embedded(tmp_path, partitions=PARTITIONS) as backend:
        assert trio.current_time() - before >= 2
        await backend.log.follow({3: NOWHERE})
        assert await append(backend.log, record(1)) == [None]
    assert not (tmp_path / "fsync-failed").exists()
