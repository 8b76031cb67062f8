"""System calls in the order they happened, from `strace -f -y -xx`, and whether each reply came after the sync that covers its message."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2")
SENDS = ("sendto", "sendmsg", "send", "write", "writev")
SYNCS = ("fsync", "fdatasync")
CALLS = tuple(dict.fromkeys((*WRITES, *SENDS, *SYNCS)))

_LINE = re.compile(r"(?:\[pid +)?(?P<thread>\d+)\]?\s+(?P<rest>.*)\Z")
_CALL = re.compile(r"(?P<name>\w+)\((?P<fd>\d+)<(?P<file>[^>]*)>(?P<rest>.*)\Z", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)\Z", re.DOTALL)
_ESCAPED = re.compile(r"(?:\\x[0-9a-f]{2})+")


class Call(NamedTuple):
    """One call: its lines of the trace (begun, ended), its file, and the bytes it wrote as far as the trace has them. `failed`: it did."""

    name: str
    file: str
    data: bytes
    begun: int
    ended: int
    failed: bool


def parse(lines: Iterable[str]) -> list[Call]:
    """The calls of a trace, in order of their beginning. A call that never ended is left out."""
    calls: list[Call] = []
    open_calls: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue
        thread, rest = found["thread"], found["rest"]
        if rest.endswith("<unfinished ...>"):
            open_calls[thread] = number, rest.removesuffix("<unfinished ...>")
            continue
        begun = number
        if resumed := _RESUMED.match(rest):
            begun, before = open_calls.pop(thread, (number, ""))
            rest = before + resumed["rest"]
        if call := _CALL.match(rest):
            failed = re.search(r"= -1 E|= \?", rest) is not None
            calls.append(Call(call["name"], _plain(call["file"]), _bytes(call["rest"]), begun, number, failed))
    return sorted(calls, key=lambda call: call.begun)


def _bytes(text: str) -> bytes:
    return b"".join(bytes.fromhex(escaped.replace("\\x", "")) for escaped in _ESCAPED.findall(text))


def _plain(file: str) -> str:
    return _bytes(file).decode(errors="replace") if file.startswith("\\x") else file


def unsynced(calls: Sequence[Call], ids: Sequence[bytes]) -> list[str]:
    """A sentence for each message whose reply left before a sync that covers it.

    A message is covered by a sync of the write-ahead log that began after the last frame of its transaction was written (in SQLite the
    first frame behind the message whose header has a size of the database: the commit), and ended before the reply was sent.
    """
    return [sentence for id in ids if (sentence := _judge(calls, id))]


def _judge(calls: Sequence[Call], id: bytes) -> str:
    text = id.hex()
    shown = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    wal = [call for call in calls if call.file.endswith("-wal") and not call.failed]
    reply = next((call for call in calls if call.name in SENDS and "socket:" in call.file and shown.encode() in call.data), None)
    written = next((place for place, call in enumerate(wal) if call.name in WRITES and id in call.data), None)
    if reply is None:
        return f"{shown}: no reply was sent"
    if written is None or wal[written].begun > reply.begun:
        return f"{shown}: the reply was sent before the message was written"
    committed = next((place for place in range(max(written - 1, 0), len(wal)) if _is_commit(wal[place])), None)
    if committed is None or wal[min(committed + 1, len(wal) - 1)].begun > reply.begun:
        return f"{shown}: the reply was sent before its transaction was written"
    page = wal[min(committed + 1, len(wal) - 1)]
    if not any(call.name in SYNCS and call.begun > page.ended and call.ended < reply.begun for call in wal):
        return f"{shown}: the reply was sent with no sync behind the commit"
    return ""


def _is_commit(call: Call) -> bool:
    """Whether this writes the header of a frame (24 bytes, its page follows by itself) that ends a transaction."""
    return call.name in WRITES and len(call.data) == 24 and any(call.data[4:8])
