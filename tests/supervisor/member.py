"""A worker that does nothing but be one: `python member.py FOLDER ID BEAT MISSED`; prints its members at each change.

SIGTERM: says that it is leaving, and exits when a line comes on standard input.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import trio

from supervisor.workers import Membership


async def main(folder: str, me: str, beat: str, missed: str) -> None:
    def say(members: tuple[str, ...]) -> None:
        print(",".join(members), flush=True)

    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with Membership(Path(folder), me, on_change=say, beat=float(beat), missed=float(missed)) as membership:
            await anext(signals)
            membership.leave()
            await trio.lowlevel.wait_readable(sys.stdin)


folder, me, beat, missed = sys.argv[1:]
trio.run(main, folder, me, beat, missed)
