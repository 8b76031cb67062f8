import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from transport.websocket.handshake import MAX_HEAD, Head, Refused, read_head, upgrade

GOOD = {
    "Host": "chat.example",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def head(line="GET /ws HTTP/1.1", extra="", **changes):
    headers = {**GOOD, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"{line}\r\n{lines}{extra}\r\n".encode()


def refusal(data):
    with pytest.raises(Refused) as refused:
        upgrade(data)
    assert f"HTTP/1.1 {refused.value.status} ".encode() in refused.value.response
    return refused.value


def test_the_example_of_the_rfc():
    accepted = upgrade(head(Origin="https://a.example"))
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accepted.response
    assert accepted.headers == {"origin": "https://a.example"}
    assert accepted.subprotocol is None
    assert b"Sec-WebSocket-Protocol" not in accepted.response


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("caas.v1", "caas.v1"), ("caas.v1.json, caas.v1", "caas.v1"), ("x,caas.v1.json", "caas.v1.json"), ("chat", None), ("CAAS.V1", None)],
)
def test_subprotocol(offered, chosen):
    assert upgrade(head(Sec_WebSocket_Protocol=offered)).subprotocol == chosen


def test_whoever_speaks_anything_takes_the_first():
    assert upgrade(head(Sec_WebSocket_Protocol="chat, superchat"), spoken=None).subprotocol == "chat"


def test_subprotocols_in_two_headers_are_one_list():
    assert upgrade(head(extra="Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: caas.v1\r\n")).subprotocol == "caas.v1"


def test_wsproto_accepts_our_answer_and_no_extension_is_ever_agreed():
    client = WSConnection(ConnectionType.CLIENT)
    data = client.send(Request(host="localhost", target="/ws?a=b", subprotocols=["caas.v1.json", "caas.v1"]))
    data = data[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    client.receive_data(upgrade(data).response)
    (accepted,) = client.events()
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "caas.v1"
    assert accepted.extensions == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("POST /ws HTTP/1.1"), 405),
        (head("GET /ws HTTP/1.0"), 400),
        (head("GET  /ws HTTP/1.1"), 400),
        (head("GET /ws HTTP/2.0"), 400),
        (head("GET /w s HTTP/1.1"), 400),
        (head(Host=None), 400),
        (head(extra="Host: other\r\n"), 400),
        (head(Upgrade=None), 426),
        (head(Upgrade="h2c"), 426),
        (head(Connection="close"), 426),
        (head(Sec_WebSocket_Version="8"), 426),
        (head(Sec_WebSocket_Version=None), 426),
        (head(extra="Sec-WebSocket-Version: 13\r\n"), 400),
        (head(Sec_WebSocket_Key=None), 400),
        (head(Sec_WebSocket_Key="short"), 400),
        (head(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ"), 400),
        (head(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZSE="), 400),
        (head(extra="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
        (head(Content_Length="5"), 400),
        (head(Transfer_Encoding="chunked"), 400),
        (head(extra="X-Folded: a\r\n b\r\n"), 400),
        (head(extra="X-Space : a\r\n"), 400),
        (head(extra="X-Nul: a\x00b\r\n"), 400),
        (head(extra="X-Bare: a\nX-Smuggled: b\r\n"), 400),
        (head(extra="nonsense\r\n"), 400),
        (head(Sec_WebSocket_Protocol="bad name"), 400),
        (b"\r\n\r\n", 400),
    ],
)
def test_refusals(data, status):
    assert refusal(data).status == status


def test_a_refused_version_names_the_one_spoken():
    assert b"Sec-WebSocket-Version: 13\r\n" in refusal(head(Sec_WebSocket_Version="8")).response
    assert b"Allow: GET\r\n" in refusal(head("PUT /ws HTTP/1.1")).response


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_raises_anything_else(data):
    assert refusal(data + b"\r\n\r\n").status in (400, 405, 426)


async def fed(data, size, path=b"/ws"):
    """What read_head makes of it in pieces, and how many bytes it asked for."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    taken = []

    async def receive():
        taken.append(pieces[len(taken)] if len(taken) < len(pieces) else b"")
        return taken[-1]

    return await read_head(receive, path), sum(map(len, taken))


@pytest.mark.parametrize("size", [1, 3, 7, 4096])
@pytest.mark.parametrize(
    ("target", "ours"), [("/ws", True), ("/ws?token=1", True), ("/wss", False), ("/w", False), ("/ws/x", False), ("/", False), ("/api/ws", False)]
)
async def test_whose_request_it_is_in_any_pieces(size, target, ours):
    data = head(f"GET {target} HTTP/1.1")
    found, taken = await fed(data + b"frames", size)
    assert found.is_ours is ours
    assert data.startswith(found.data) or found.data.startswith(data)
    if ours:
        assert found.checked() == data
    else:
        assert taken <= len(f"GET {target} HTTP/1.1\r\n") + size


async def test_frames_behind_the_head_are_kept():
    found, _ = await fed(head() + b"\x81\x80\x00\x00\x00\x00", 4096)
    assert found.rest == b"\x81\x80\x00\x00\x00\x00"


async def test_a_header_bomb_is_cut_at_8_kib():
    found, taken = await fed(head(extra="X: " + "a" * 1_000_000), 4096)
    assert taken <= MAX_HEAD + 4096
    with pytest.raises(Refused) as refused:
        found.checked()
    assert refused.value.status == 431


async def test_a_request_line_that_never_ends_is_not_read_on():
    found, taken = await fed(b"G" * 1_000_000, 4096)
    assert taken <= MAX_HEAD + 4096
    assert not found.is_ours


async def test_hanging_up_early():
    with pytest.raises(ConnectionResetError):
        await fed(b"GET /w", 4096)


def test_a_head_just_within_the_limit():
    data = head()
    padded = data[:-2] + b"X: " + b"a" * (MAX_HEAD - len(data) - 5) + b"\r\n\r\n"
    assert len(padded) == MAX_HEAD
    assert Head(padded, True).checked() == padded
    with pytest.raises(Refused):
        Head(padded[:-4] + b"a\r\n\r\n", True).checked()
