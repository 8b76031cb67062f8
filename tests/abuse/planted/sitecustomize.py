"""Bugs planted in a server's processes: Python imports this at its start where this folder is in PYTHONPATH. `PLANTED` names one."""

import os


def quadratic_decoder() -> None:
    """Each byte of a frame is compared with those behind it."""
    from protocol import codec

    whole = codec.decode_commands

    def decode_commands(payload: bytes, *, text: bool) -> list[codec.Command]:
        for at in range(0, len(payload), 3):
            payload.find(b"\xc1\xc1\xc1", at)
        return whole(payload, text=text)

    codec.decode_commands = decode_commands


def unbounded_outbox() -> None:
    """What a reader does not take waits for ever."""
    from transport.websocket import outbox

    outbox.MOST_WAITING = 1 << 40  # type: ignore[misc]


def unbounded_message() -> None:
    """A frame is taken whatever its size."""
    from transport.websocket import reader

    reader.MAX_MESSAGE = 1 << 63  # type: ignore[misc]


def unbounded_head() -> None:
    """Headers are taken however many there are."""
    from transport.websocket import handshake

    handshake.MAX_HEAD = 1 << 40  # type: ignore[misc]


if "PLANTED" in os.environ:
    globals()[os.environ["PLANTED"]]()
