"""Bytes from a client into messages and control frames: strict RFC 6455, no I/O, every size checked before it is waited for."""

import codecs
from typing import Final

from transport.websocket.frames import BINARY, BROKEN, CLOSE, CONTINUATION, PING, PONG, TEXT, Event, close_code, close_payload, may_be_sent, unmask
from transport.websocket.native import take_frames

MAX_MESSAGE: Final = 65_536
MAX_FRAGMENTS: Final = 32

PROTOCOL_ERROR: Final = 1002
INVALID_TEXT: Final = 1007
TOO_LARGE: Final = 1009

_NONE: Final = -1
_Decoder = codecs.getincrementaldecoder("utf-8")


class _Violation(Exception):
    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class FrameReader:
    """The receiving half of one connection. After CLOSE or BROKEN it has said its last word and ignores what follows."""

    __slots__ = ("_control", "_decoder", "_done", "_fin", "_fragments", "_held", "_key", "_kind", "_left", "_max_fragments", "_max_message",
                 "_message", "_opcode", "attention", "continued")  # fmt: skip

    def __init__(self, max_message: int = MAX_MESSAGE, max_fragments: int = MAX_FRAGMENTS) -> None:
        """Bytes of one message, and the frames it may come in; more is answered with 1009."""
        self._max_message = max_message
        self._max_fragments = max_fragments
        self.attention = False
        """The last feed held something else than messages in one piece."""
        self.continued = 0
        """Frames that went on with a message: whoever counts them sets it back. A feed that had some has `attention`."""
        self._done = False
        self._held = b""  # a header that has not come whole
        self._opcode = _NONE  # of the frame begun, whose header is read and whose payload is not
        self._fin = False
        self._left = 0
        self._key = b""
        self._kind = _NONE  # of the message begun: TEXT or BINARY
        self._fragments = 0
        self._message: bytearray | None = None
        self._control: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> list[Event]:
        """What became whole with these bytes, in order."""
        events: list[Event] = []
        self.attention = False
        if self._done:
            return events
        try:
            self._read(data, events)
        except _Violation as violation:
            self._done = self.attention = True
            events.append((BROKEN, close_payload(violation.code, violation.reason)))
        return events

    def _read(self, data: bytes, events: list[Event]) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        at, end = 0, len(data)
        while at < end and not self._done:
            if self._opcode == _NONE:
                if self._kind == _NONE:
                    at = take_frames(data, at, self._max_message, events)
                at = self._read_header(data, at, end)
            at = self._read_payload(data, at, end, events)

    def _read_header(self, data: bytes, at: int, end: int) -> int:
        """Read a frame's header at `at` and check all that it says; too little data is held for next time."""
        if end - at < 2:
            self._held = data[at:]
            if self._held:
                self._check_first_byte(data[at])
            return end
        self._check_first_byte(data[at])
        second = data[at + 1]
        if not second & 0x80:
            raise _Violation(PROTOCOL_ERROR, "unmasked frame")
        extra = {126: 2, 127: 8}.get(second & 0x7F, 0)
        if data[at] & 0x08 and extra:
            raise _Violation(PROTOCOL_ERROR, "control frame too long")
        start = at + 2 + extra
        if end < start + 4:
            if end >= start:
                self._check_size(data[at], _size(data, at, extra))
            self._held = data[at:]
            return end
        self._begin_frame(data[at], _size(data, at, extra), data[start : start + 4])
        return start + 4

    def _check_first_byte(self, first: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise _Violation(PROTOCOL_ERROR, "reserved bits set")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise _Violation(PROTOCOL_ERROR, "reserved opcode")
        if opcode >= CLOSE and not first & 0x80:
            raise _Violation(PROTOCOL_ERROR, "fragmented control frame")
        if opcode == CONTINUATION and self._kind == _NONE:
            raise _Violation(PROTOCOL_ERROR, "nothing to continue")
        if opcode in (TEXT, BINARY) and self._kind != _NONE:
            raise _Violation(PROTOCOL_ERROR, "message begun inside another")

    def _check_size(self, first: int, size: int) -> None:
        if first & 0x08:
            return
        begun = len(self._message) if self._message is not None else 0
        if begun + size > self._max_message:
            raise _Violation(TOO_LARGE, "message too large")
        if self._kind != _NONE and self._fragments >= self._max_fragments:
            raise _Violation(TOO_LARGE, "too many fragments")

    def _begin_frame(self, first: int, size: int, key: bytes) -> None:
        self._check_size(first, size)
        self._opcode = first & 0x0F
        self._fin = bool(first & 0x80)
        self._left = size
        self._key = key
        if self._opcode >= CLOSE:
            self._control = bytearray()
            return
        if self._opcode == CONTINUATION:
            self.continued += 1
            self.attention = True
        else:
            self._kind = self._opcode
            self._fragments = 0
            self._message = bytearray()
            self._decoder = _Decoder() if self._kind == TEXT else None
        self._fragments += 1

    def _read_payload(self, data: bytes, at: int, end: int, events: list[Event]) -> int:
        """Take what is here of the frame begun; finish it when it is whole."""
        if self._opcode == _NONE:
            return at
        stop = min(end, at + self._left)
        if stop > at:
            self._take(unmask(data[at:stop], self._key))
            turn = (stop - at) % 4
            self._key = self._key[turn:] + self._key[:turn]
            self._left -= stop - at
        if not self._left:
            self._finish_frame(events)
        return stop

    def _take(self, chunk: bytes) -> None:
        if self._opcode >= CLOSE:
            assert self._control is not None
            self._control += chunk
            return
        if self._decoder is not None:  # at once, so that bad text is refused before the rest of it is waited for
            _decode(self._decoder, chunk, final=False)
        assert self._message is not None
        self._message += chunk

    def _finish_frame(self, events: list[Event]) -> None:
        opcode, self._opcode = self._opcode, _NONE
        if opcode >= CLOSE:
            self._finish_control(opcode, events)
        elif self._fin:
            self._finish_message(events)

    def _finish_message(self, events: list[Event]) -> None:
        if self._decoder is not None:
            _decode(self._decoder, b"", final=True)
        assert self._message is not None
        events.append((self._kind, bytes(self._message)))
        self._kind, self._message, self._decoder = _NONE, None, None

    def _finish_control(self, opcode: int, events: list[Event]) -> None:
        assert self._control is not None
        payload, self._control = bytes(self._control), None
        if opcode == CLOSE:
            _check_close(payload)
            self._done = True
        self.attention = True
        events.append((opcode, payload))


def _size(data: bytes, at: int, extra: int) -> int:
    """The payload's size as the header says it; a longer form than needed is a violation."""
    if not extra:
        return data[at + 1] & 0x7F
    size = int.from_bytes(data[at + 2 : at + 2 + extra], "big")
    if size >> 63:
        raise _Violation(PROTOCOL_ERROR, "impossible size")
    if size < (126 if extra == 2 else 65_536):
        raise _Violation(PROTOCOL_ERROR, "size not in its shortest form")
    return size


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool) -> None:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        raise _Violation(INVALID_TEXT, "invalid UTF-8") from None


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise _Violation(INVALID_TEXT, "invalid UTF-8") from None


def _check_close(payload: bytes) -> None:
    if not payload:
        return
    if len(payload) == 1 or not may_be_sent(close_code(payload)):
        raise _Violation(PROTOCOL_ERROR, "bad close code")
    _check_text(payload[2:])
