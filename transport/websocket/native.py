"""The innermost loops of the transport, in Python. The accelerator has a twin of this module in C (`accelerator/native.c`), held to the
same tests: whichever is imported, the callers see no difference.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transport.websocket.outbox import Outbox

NOT_IDLE: Final = -1
FAILED: Final = -2


def offer_all(outboxes: "list[Outbox]", start: int, stop: int, apart: "set[Outbox]", wire: bytes) -> list[tuple[int, int]]:
    """Offer the same bytes to each idle socket from place `start` up to `stop`, but to those in `apart`.

    Where not all was taken: the place, and how many bytes were, NOT_IDLE (and nothing was offered), or FAILED (the socket has ended).
    """
    size = len(wire)
    left: list[tuple[int, int]] = []
    place = start
    for outbox in outboxes[start:stop]:
        if apart and outbox in apart:
            pass
        elif outbox.idle:
            try:
                taken = outbox.offer(wire)
            except BlockingIOError:
                taken = 0
            except OSError:
                taken = FAILED
            if taken != size:
                left.append((place, taken))
        else:
            left.append((place, NOT_IDLE))
        place += 1
    return left


def forget(outbox: "Outbox") -> None:
    """Its socket is about to be closed. In C that has to be known: an io_uring holds the sockets that it sends to, each in its `place`."""


def take_frames(data: bytes, at: int, longest: int, events: list[tuple[int, bytes]]) -> int:
    """Messages in one short, final, masked frame each that are all here, from `at` on: (opcode, payload) into `events`.

    Returns where anything else begins; what claims to be text and is not is something else too.
    """
    end = len(data)
    while at + 6 <= end:
        first = data[at]
        size = data[at + 1] - 128
        start = at + 6
        stop = start + size
        if (first != 0x82 and first != 0x81) or size < 0 or size > 125 or size > longest or stop > end:
            break
        # unmask(), written out: a call here would be a tenth of the whole.
        pad = (data[at + 2 : start] * 32)[:size]
        payload = (int.from_bytes(data[start:stop], "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")
        if first == 0x81 and not payload.isascii() and not _is_text(payload):
            break
        events.append((first & 0x0F, payload))
        at = stop
    return at


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
