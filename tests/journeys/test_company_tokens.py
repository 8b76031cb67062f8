"""A company signs its users' tokens by itself: registered, let in over two workers, cut off within a second of the end, also after a restart."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jwt
import msgspec
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.journeys.conftest import serving

pytestmark = pytest.mark.real

WITHIN_S = 1.0
MARGIN_S = 4.0
"""What a busy machine may add."""


def call(base: str, method: str, path: str, body: Any = None, bearer: str = "caas_sk_dev") -> tuple[int, dict[str, Any]]:
    asked = Request(f"{base}/api/v1{path}", json.dumps(body).encode() if body is not None else None, {"Authorization": f"Bearer {bearer}"},
                    method=method)
    try:
        with urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


class Backend:
    """The company's own: it holds the private half."""

    def __init__(self, base: str) -> None:
        self.key = Ed25519PrivateKey.generate()
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        status, made = call(base, "POST", "/token_keys", {"public_key": public, "name": "backend"})
        assert status == 201
        self.kid = made["key"]["id"]

    def token(self, user: str, number: int = 0) -> str:
        now = int(time.time())
        return jwt.encode({"iss": "dev", "sub": user, "iat": now, "exp": now + 3_600, "jti": str(number), "name": user.title()}, self.key, "EdDSA",
                          {"kid": self.kid})


async def hello(socket: WebSocketConnection, token: str) -> dict[str, Any]:
    await socket.send_message(msgspec.msgpack.encode({"i": 1, "m": "hello", "p": {"token": token}}))
    while True:
        answer = msgspec.msgpack.decode(await socket.get_message())
        for one in answer if isinstance(answer, list) else [answer]:
            if one.get("i") == 1:
                return one


async def code_at_end(socket: WebSocketConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await socket.get_message()
    return int(caught.value.reason.code)


async def connected(base: str, tokens: list[str], end: Any) -> list[int]:
    """Connect with each token, then `end()` them; the close code of each, when all were closed in time."""
    codes: list[int] = []

    async def live(token: str, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", int(base.rsplit(":", 1)[1])) as stream:
            socket = await wrap_client_stream(nursery, stream, "127.0.0.1", "/ws", subprotocols=["caas.v1"])
            assert "r" in await hello(socket, token)
            task_status.started()
            codes.append(await code_at_end(socket))

    async with trio.open_nursery() as nursery:
        for token in tokens:
            await nursery.start(live, token)
        await trio.to_thread.run_sync(end)
        with trio.fail_after(WITHIN_S + MARGIN_S):
            while len(codes) < len(tokens):
                await trio.sleep(0.02)
    return codes


async def test_a_companys_own_tokens(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as base:
        backend = Backend(base)
        first = backend.token("dora")
        status, shown = call(base, "GET", "/users/dora", bearer=first)
        assert (status, shown["user"]) == (200, {"id": "dora", "display_name": "Dora"})

        tokens = [backend.token("dora", number) for number in range(6)]  # over both workers
        assert await connected(base, tokens, lambda: call(base, "DELETE", "/users/dora/sessions", bearer=first)) == [4503] * 6
        assert call(base, "GET", "/users/dora", bearer=first)[1]["code"] == "token_invalid"

        await trio.sleep(1.1)  # `iat` counts whole seconds
        emil = backend.token("emil")
        assert call(base, "GET", "/users/emil", bearer=emil)[0] == 200
        assert await connected(base, [backend.token("emil", number) for number in range(4)], lambda: call(base, "DELETE", "/sessions")) == [4503] * 4

        await trio.sleep(1.1)
        late = backend.token("emil")
        assert await connected(base, [late] * 4, lambda: call(base, "DELETE", f"/token_keys/{backend.kid}")) == [4503] * 4
        assert call(base, "GET", "/users/emil", bearer=late)[1]["code"] == "token_invalid"
        kept = Backend(base)
        alice = kept.token("alice")
        assert call(base, "GET", "/users/alice", bearer=alice)[0] == 200

        other = Backend(base)
        revoke = [sys.executable, "-m", "caas", "keys", "revoke", "dev", other.kid, "--data", str(data)]
        assert await connected(base, [other.token("emil", number) for number in range(4)], lambda: subprocess.run(revoke, check=True)) == [4503] * 4
    with serving(data) as base:
        for token in (first, emil, late):
            assert call(base, "GET", "/users/dora", bearer=token)[1]["code"] == "token_invalid"
        assert call(base, "GET", "/users/alice", bearer=alice)[0] == 200
