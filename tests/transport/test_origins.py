"""Which pages may connect: compared as they stand, so that nothing that merely looks like one on the list is let in."""

import pytest

from transport.origins import EVERYBODY, Origins

LISTED = Origins(("https://app.example.com", "https://app.example.com:8443", "capacitor://localhost"))
DEVELOPING = Origins(("https://app.example.com",), of_this_machine=True)

STRANGERS = [
    "https://evil.example",
    "null",
    "",
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "https://app.example.com@evil.example",
    "http://app.example.com",
    "https://app.example.com:443",
    "https://app.example.com:8444",
    "https://APP.example.com",
    "HTTPS://app.example.com",
    "https://app.example.com/",
    "https://app.example.com, https://app.example.com",
    "*",
]


@pytest.mark.parametrize("origin", STRANGERS)
def test_what_is_not_on_the_list_is_refused(origin):
    assert not LISTED.allow(origin, "chat.example.com")
    assert not DEVELOPING.allow(origin, "127.0.0.1:3000")


@pytest.mark.parametrize("origin", ["https://app.example.com", "https://app.example.com:8443", "capacitor://localhost"])
def test_what_is_on_the_list_is_let_in(origin):
    assert LISTED.allow(origin, "chat.example.com")


def test_who_is_no_browser_sends_none_and_is_let_in():
    assert LISTED.allow(None, "chat.example.com")
    assert Origins().allow(None, "chat.example.com")
    assert not Origins().allow("https://app.example.com", "chat.example.com")


def test_a_page_of_the_very_name_and_port_is_let_in():
    assert LISTED.allow("https://chat.example.com", "chat.example.com")
    assert LISTED.allow("http://10.0.0.7:3000", "10.0.0.7:3000")
    assert not LISTED.allow("https://chat.example.com:444", "chat.example.com")
    assert not LISTED.allow("https://example.com", "chat.example.com")


def test_a_star_lets_everybody_in():
    assert all(EVERYBODY.allow(origin, "chat.example.com") for origin in STRANGERS)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3000", "http://localhost:5173", "https://localhost", "http://[::1]:3000", "http://127.8.9.1"])
def test_while_developing_pages_of_this_machine_are_let_in(origin):
    assert DEVELOPING.allow(origin, "127.0.0.1:3000")


@pytest.mark.parametrize("origin", ["http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://evil.example:3000", "http://127.0.0.1@evil.example",
                                    "http://localhost:5173/x", "file://", "http://10.0.0.7:3000", "http://[::1", "http://localhost:"])
def test_while_developing_no_others_are_whatever_name_they_ask_for(origin):
    assert not DEVELOPING.allow(origin, "127.0.0.1:3000")
    assert not DEVELOPING.allow(origin, origin.removeprefix("http://"))


async def test_a_page_of_another_site_is_answered_with_403_and_told_why(wire):
    async with wire.server(origins=LISTED) as server:
        page = await wire.connect(server.port)
        await page.send(wire.request(Origin="https://evil.example"))
        answer = await page.everything()
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert b"`origins`" in answer
        assert server.handler.connections == []
        mine = await wire.connect(server.port)
        await mine.send(wire.request(Origin="https://app.example.com"))
        assert (await mine.head()).startswith(b"HTTP/1.1 101 ")
        await wire.dial(server.port)
