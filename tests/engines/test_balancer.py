"""HAProxy as it is deployed, before two real CAAS processes: it keeps WebSockets, spreads them, and takes nothing to a node that leaves."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, connect_websocket_url

from deploy.local.balancer import SOURCE, Balancer
from deploy.local.engine import running
from deploy.local.nodes import Nodes
from tests.engines.needing import needing

WITHIN_S = 30.0
GOING_AWAY = 1001


class Set:
    """Two workers of one embedded set-up, each on a port of its own, behind one balancer."""

    def __init__(self, nodes: Nodes, balancer: Balancer, nursery: trio.Nursery) -> None:
        self.nodes, self.balancer, self._nursery = nodes, balancer, nursery
        self.sockets: list[WebSocketConnection] = []
        self.token = ""

    async def dial(self) -> WebSocketConnection:
        """As alice."""
        self.token = self.token or await trio.to_thread.run_sync(alice, self.balancer.url)
        socket = await connect_websocket_url(self._nursery, self.balancer.url.replace("http", "ws") + "/ws", subprotocols=["caas.v1.json"])
        self.sockets.append(socket)
        await socket.send_message(json.dumps({"i": 1, "m": "hello", "p": {"token": self.token}}))
        assert "r" in json.loads(await socket.get_message())
        return socket

    async def until(self, **wanted: dict[str, str]) -> None:
        """Until the balancer says this of these nodes."""
        with trio.fail_after(WITHIN_S):
            while not _fits(await self.balancer.nodes(), wanted):
                await trio.sleep(0.05)


def _fits(said: dict[str, dict[str, str]], wanted: dict[str, dict[str, str]]) -> bool:
    return all(said[name.replace("_", "-")][key] == value for name, says in wanted.items() for key, value in says.items())


@contextlib.asynccontextmanager
async def balanced(folder: Path) -> AsyncIterator[Set]:
    with needing():
        nodes = Nodes(folder, 2, {"dev": "1", "drain_s": "2", "proxies": SOURCE})
        for name, member in nodes.members.items():
            member.argv = [*member.argv[:-1], "worker"]
            member.env |= {"CAAS_WORKER": name, "CAAS_DATA": str(folder / "data"), "CAAS_NODE": ""}
        balancer = Balancer(folder, nodes.addresses)
    async with running(nodes), running(balancer), trio.open_nursery() as nursery:
        both = Set(nodes, balancer, nursery)
        await both.until(node_1={"status": "UP"}, node_2={"status": "UP"})
        yield both
        for socket in both.sockets:
            await trio.aclose_forcefully(socket._stream)
        nursery.cancel_scope.cancel()


def alice(base: str) -> str:
    who = {"Authorization": "Bearer caas_sk_dev", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{base}/api/v1/sessions/create", json.dumps({"user": {"external_id": "alice"}}).encode(), who)
    with urllib.request.urlopen(asked, timeout=WITHIN_S) as answer:
        return str(json.load(answer)["token"])


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=WITHIN_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


@pytest.mark.real
async def test_websockets_are_spread_kept_while_a_node_drains_and_told_when_it_leaves(tmp_path: Path) -> None:
    async with balanced(tmp_path) as both:
        old = [await both.dial() for _ in range(6)]
        await both.until(node_1={"scur": "3"}, node_2={"scur": "3"})

        await both.balancer.say("set server nodes/node-1 state drain")
        new = [await both.dial() for _ in range(4)]
        await both.until(node_1={"scur": "3"}, node_2={"scur": "7"})
        with trio.fail_after(WITHIN_S):
            for socket in (*old, *new):
                await socket.ping()

        await both.nodes.members["node-1"].stop()
        told = [socket for socket in old if await closed(socket)]
        assert len(told) == 3
        assert not [socket for socket in new if await closed(socket)]
        await both.balancer.say("set server nodes/node-1 state ready")
        await both.nodes.restart("node-1")
        await both.until(node_1={"status": "UP"}, node_2={"scur": "7"})


async def closed(socket: WebSocketConnection) -> bool:
    """Whether it was closed, and with a code; not merely cut."""
    with contextlib.suppress(ConnectionClosed), trio.fail_after(WITHIN_S):
        await socket.ping()
        return False
    return socket.closed is not None and socket.closed.code in (GOING_AWAY, *range(4000, 5000))


@pytest.mark.real
async def test_no_request_is_lost_with_a_node_that_is_killed(tmp_path: Path) -> None:
    async with balanced(tmp_path) as both:
        both.nodes.kill("node-2")
        answers = [await trio.to_thread.run_sync(get, both.balancer.url + "/health") for _ in range(20)]
        assert answers == [200] * 20
        await both.until(node_2={"status": "DOWN"})
        both.nodes.kill("node-1")
        await both.until(node_1={"status": "DOWN"})
        assert await trio.to_thread.run_sync(get, both.balancer.url + "/balancer") == 200
        assert await trio.to_thread.run_sync(get, both.balancer.url + "/health") == 503


@pytest.mark.real
async def test_clients_of_a_machine_that_vanished_are_let_go(tmp_path: Path) -> None:
    async with balanced(tmp_path) as both:
        sockets = [await both.dial() for _ in range(4)]
        await both.until(node_1={"scur": "2"}, node_2={"scur": "2"})
        with needing():
            both.nodes.cut("node-1")
        await both.until(node_1={"status": "DOWN", "scur": "0"})
        with trio.fail_after(WITHIN_S):
            while len([socket for socket in sockets if socket.closed]) != 2:
                await trio.sleep(0.05)
        both.nodes.heal("node-1")
        await both.until(node_1={"status": "UP"}, node_2={"scur": "2"})


@pytest.mark.real
async def test_clients_behind_it_are_counted_by_their_own_addresses(tmp_path: Path) -> None:
    """A node lets in 20 strangers of one address: as many as that would come from the balancer alone."""
    async with balanced(tmp_path) as both:
        host, _, port = both.balancer.addresses[0].partition(":")
        streams = []
        for number in range(50):
            stream = await trio.open_tcp_stream(host, int(port), local_address=f"127.0.1.{number + 1}")
            await stream.send_all(b"GET /ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                  b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: caas.v1\r\n\r\n")
            streams.append(stream)
        with trio.fail_after(WITHIN_S):
            heads = [bytes(await stream.receive_some(4_096)) for stream in streams]
        assert [head[:12] for head in heads] == [b"HTTP/1.1 101"] * 50
        for stream in streams:
            await stream.aclose()
