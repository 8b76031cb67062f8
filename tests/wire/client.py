"""A client written from docs/protocol.md alone: blocking sockets, own framing, nothing of the product."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import socket
import struct
import time
import uuid
from typing import Any, NamedTuple
from urllib.parse import quote

import msgpack

PATIENCE_S = 20
SECRET = "caas_sk_dev"


def uuid7(ahead_ms: int = 0) -> str:
    ms = int(time.time() * 1000) + ahead_ms
    value = ms << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


class Closed(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Refused(Exception):
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.error, self.code = error, error["code"]


def rest(port: int, method: str, path: str, body: Any = None, token: str | None = SECRET, raw: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own; header names are given with `_` for `-`."""
    said = {k.replace("_", "-"): v for k, v in headers.items()}
    if token is not None:
        said["Authorization"] = f"Bearer {token}"
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    if data is not None:
        said.setdefault("Content-Type", "application/json")
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        link.request(
            method,
            path if not path.startswith("/") or path.startswith(("/api", "/health", "/ready", "/metrics", "/openapi", "/docs")) else "/api/v1" + path,
            data,
            said,
        )
        got = link.getresponse()
        text = got.read()
        kind = got.headers.get("Content-Type", "")
        return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, json.loads(text) if "json" in kind and text else text)
    finally:
        link.close()


def part(text: str) -> str:
    return quote(text, safe="")


class Wire:
    """One socket. `ask` gives `r` or raises `Refused`; pushes that came meanwhile wait in `pushes`."""

    def __init__(self, port: int, json_twin: bool = False, protocols: str | None = None, path: str = "/ws") -> None:
        self.json, self.i, self.replies, self.pushes, self.frames = json_twin, 0, {}, [], []
        self.pings, self.pongs, self.buffer, self.partial = 0, [], b"", b""
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        offered = ("caas.v1.json" if json_twin else "caas.v1") if protocols is None else protocols
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        head += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        head += f"Sec-WebSocket-Protocol: {offered}\r\n" if offered else ""
        head += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        self.sock.sendall((head + "\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            got = self.sock.recv(65536)
            assert got, self.buffer
            self.buffer += got
        answer, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = answer.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.sock.close()

    # frames out
    def frame(self, opcode: int, data: bytes, fin: bool = True) -> None:
        mask = os.urandom(4)
        size = len(data)
        head = bytes([(0x80 if fin else 0) | opcode])
        head += (
            bytes([0x80 | size])
            if size < 126
            else bytes([0xFE]) + struct.pack(">H", size)
            if size < 65536
            else bytes([0xFF]) + struct.pack(">Q", size)
        )
        pad = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big") if size else b""
        self.sock.sendall(head + mask + masked)

    def raw(self, data: bytes) -> None:
        self.frame(1 if self.json else 2, data)

    def put(self, thing: Any) -> None:
        self.raw(json.dumps(thing).encode() if self.json else msgpack.packb(thing, use_bin_type=True))

    def say(self, m: str, **p: Any) -> int:
        self.i += 1
        self.put({"i": self.i, "m": m, "p": p})
        return self.i

    # frames in
    def _some(self, deadline: float) -> bool:
        """Read and take one frame; false when time is up."""
        while True:
            found = self._cut()
            if found:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.sock.settimeout(left)
            try:
                got = self.sock.recv(1 << 20)
            except TimeoutError:
                return False
            except ConnectionResetError:
                got = b""
            if not got:
                raise Closed(1006, "")
            self.buffer += got

    def _cut(self) -> bool:
        b = self.buffer
        if len(b) < 2:
            return False
        size, at = b[1] & 0x7F, 2
        if size == 126:
            if len(b) < 4:
                return False
            size, at = struct.unpack(">H", b[2:4])[0], 4
        elif size == 127:
            if len(b) < 10:
                return False
            size, at = struct.unpack(">Q", b[2:10])[0], 10
        if len(b) < at + size:
            return False
        assert not b[1] & 0x80, "a server never masks"
        assert not b[0] & 0x70, "no compression, no reserved bits"
        data, self.buffer = b[at : at + size], b[at + size :]
        self._take(b[0] & 15, bool(b[0] & 0x80), data)
        return True

    def _take(self, opcode: int, fin: bool, data: bytes) -> None:
        if opcode == 8:
            self.sock.settimeout(PATIENCE_S)
            raise Closed(struct.unpack(">H", data[:2])[0] if data else 1005, data[2:].decode())
        if opcode == 9:
            self.pings += 1
            return self.frame(10, data)
        if opcode == 10:
            self.pongs.append(data)
            return None
        self.partial += data
        if not fin:
            return None
        whole, self.partial = self.partial, b""
        assert opcode == (1 if self.json else 2) or opcode == 0
        self.frames.append(whole)
        got = json.loads(whole) if self.json else msgpack.unpackb(whole, raw=False, strict_map_key=True)
        for one in got if isinstance(got, list) else [got]:
            assert isinstance(one, dict), one
            if "t" in one:
                self.pushes.append(one)
            else:
                assert set(one) in ({"i", "r"}, {"i", "e"}), one
                assert one["i"] not in self.replies, f"answered twice: {one}"
                self.replies[one["i"]] = one
        return None

    def answer(self, i: int, within: float = PATIENCE_S) -> Any:
        deadline = time.monotonic() + within
        while i not in self.replies:
            assert self._some(deadline), f"no reply to {i}"
        one = self.replies.pop(i)
        if "e" in one:
            raise Refused(one["e"])
        return one["r"]

    def ask(self, m: str, **p: Any) -> Any:
        return self.answer(self.say(m, **p))

    def refused(self, m: str, **p: Any) -> dict[str, Any]:
        try:
            got = self.ask(m, **p)
        except Refused as no:
            return no.error
        raise AssertionError(f"{m} {p} was not refused: {got}")

    def push(self, t: str, c: str | None = None, within: float = PATIENCE_S, **fields: Any) -> dict[str, Any]:
        """The first push of that kind (of that conversation, with those fields of `p`) not yet taken; it is taken."""
        deadline = time.monotonic() + within
        while True:
            for one in self.pushes:
                if one["t"] == t and c in (None, one.get("c")) and all(one.get("p", {}).get(k) == v for k, v in fields.items()):
                    self.pushes.remove(one)
                    return one
            assert self._some(deadline), f"no push {t} {c} {fields}; there are {self.pushes}"

    def until_closed(self, within: float = PATIENCE_S) -> Closed:
        deadline = time.monotonic() + within
        try:
            while self._some(deadline):
                pass
        except Closed as end:
            return end
        raise AssertionError("still open")

    def settle(self) -> None:
        """A command there and back: what was sent before has been seen."""
        self.ask("user.get", users=[])

    def hello(self, token: str, **more: Any) -> Any:
        return self.ask("hello", token=token, **more)
