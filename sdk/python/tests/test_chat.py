"""The terminal client, driven by its keys against a real server; and how things are drawn."""

import asyncio
from collections.abc import Callable

import pytest
from caas_sdk import CaasError, Message, Reaction, Row, StateChange, aio, create_session
from caas_sdk.chat import drawing, start
from caas_sdk.chat.app import Chat
from caas_sdk.chat.bubbles import Bubble, Bubbles
from caas_sdk.chat.picker import Picker
from caas_sdk.core.outputs import State
from conftest import SECRET, Cable
from test_faces import room_name
from textual.widgets import Input, OptionList, Static


def seen(chat: Chat) -> list[str]:
    """What the messages show."""
    return [bubble.drawn.plain for bubble in chat.query_one(Bubbles).query(Bubble)]


def text_of(chat: Chat, name: str) -> str:
    return str(chat.query_one(name, Static).visual)


async def until(predicate: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
    for _ in range(600):
        if predicate():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(what())


def chat_of(base: str, server: str, c: str) -> Chat:
    return Chat(base, "alice", lambda: create_session(server, SECRET, "alice"), conversation=c)


def test_two_people_chat_in_a_terminal(server: str) -> None:
    async def story() -> None:
        c = room_name()
        async with aio.connect(server, lambda: create_session(server, SECRET, "bob")) as bob:
            await bob.conversations.create(c, members=["alice"], name="Tea room")
            await bob.conversations.open(c)
            await bob.messages.send(c, "Hello, Alice [not markup]")
            chat = chat_of(server, server, c)
            async with chat.run_test(size=(110, 34)) as pilot:
                await until(lambda: seen(chat), lambda: text_of(chat, "#state"))
                assert "Hello, Alice [not markup]" in seen(chat)[0]
                assert "Tea room" in text_of(chat, "#title")
                assert "connected" in text_of(chat, "#state")
                await until(lambda: bob.messages.shown(c)[0].status == "read")
                bob.typing.key(c)
                await until(lambda: text_of(chat, "#typing") == "Bob is typing…")

                await pilot.press(*"hi bob")
                await until(lambda: [typer.user for typer in bob.typing.who(c)] == ["alice"])
                await pilot.press("enter")
                await until(lambda: len(bob.messages.shown(c)) == 2)
                assert bob.messages.shown(c)[1].text == "hi bob"
                bob.conversations.mark_read(c)
                await until(lambda: "✓✓" in seen(chat)[1])

                await pilot.press("up", "e", "exclamation_mark", "enter")
                await until(lambda: "hi bob!" in seen(chat)[1] and "edited" in seen(chat)[1], lambda: seen(chat))
                await pilot.press("up", "up", "plus")
                await until(lambda: isinstance(chat.screen, Picker))
                await pilot.press("4")
                await until(lambda: "🎉 1" in seen(chat)[0], lambda: seen(chat))
                assert bob.messages.shown(c)[0].reactions["🎉"].users == ("alice",)

                await pilot.press("r", *"to you", "enter")
                await until(lambda: len(seen(chat)) == 3)
                assert bob.messages.shown(c)[2].reply_to == bob.messages.shown(c)[0].id
                assert "┃ Bob: Hello, Alice" in seen(chat)[2]
                await pilot.press("up", "p")
                await until(lambda: "pinned" in seen(chat)[2])
                await pilot.press("d")
                await until(lambda: "deleted" in seen(chat)[2])
                await pilot.press("escape", *"/members", "enter")
                await until(lambda: "bob (owner)" in text_of(chat, "#about"), lambda: text_of(chat, "#about"))
                await pilot.press("escape", *"/tea", "enter")
                await until(lambda: "/help" in text_of(chat, "#about"))
                await pilot.press("ctrl+q")
            assert chat.farewell == ""

    asyncio.run(asyncio.wait_for(story(), 120))


def test_unread_and_other_conversations(server: str) -> None:
    async def story() -> None:
        first, second = room_name(), room_name()
        async with aio.connect(server, lambda: create_session(server, SECRET, "bob")) as bob:
            for c in (first, second):
                await bob.conversations.create(c, members=["alice"], name=c)
            chat = chat_of(server, server, first)
            async with chat.run_test(size=(110, 34)) as pilot:
                rows = chat.query_one("#rows", OptionList)
                await until(lambda: rows.option_count >= 2)
                await bob.messages.send(second, "over here", mentions=["alice"])
                await until(lambda: str(rows.get_option_at_index(0).prompt) == f"# {second} @ 1", lambda: rows.get_option_at_index(0).prompt)
                await pilot.press("ctrl+up")
                await until(lambda: any("over here" in one for one in seen(chat)) and chat.here == second)
                await until(lambda: str(rows.get_option_at_index(0).prompt) == f"# {second}")
                assert first not in chat.client.rooms

    asyncio.run(asyncio.wait_for(story(), 120))


def test_away_and_back(server: str, cable: Cable) -> None:
    async def story() -> None:
        c = room_name()
        async with aio.connect(server, lambda: create_session(server, SECRET, "bob")) as bob:
            await bob.conversations.create(c, members=["alice"], name="Tea room")
            chat = chat_of(cable.base, server, c)
            async with chat.run_test(size=(110, 34)) as pilot:
                await until(lambda: "Tea room" in text_of(chat, "#title"))
                cable.plugged = False
                cable.cut()
                await until(lambda: "reconnecting" in text_of(chat, "#state"))
                await pilot.press(*"later", "enter")
                await until(lambda: seen(chat) and "◌" in seen(chat)[0])
                cable.plugged = True
                await until(lambda: "✓" in seen(chat)[0] and "connected" in text_of(chat, "#state"))
                assert chat.query_one("#write", Input).value == ""

    asyncio.run(asyncio.wait_for(story(), 120))


def test_it_says_what_is_wrong(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert start.start("alice", url="http://127.0.0.1:1") == 1
    assert "Nobody answers" in capsys.readouterr().err
    assert start.start("alice", url=server, secret_key="caas_sk_wrong") == 1
    assert "refuses: token_invalid" in capsys.readouterr().err


def message(**about: object) -> Message:
    told: dict[str, object] = {"id": "m", "conversation": "c", "sender": "bob", "seq": 1, "text": "hi", "sent_at": 1_700_000_000_000}
    return Message(**(told | about))  # type: ignore[arg-type]


@pytest.mark.parametrize(("status", "tick"), [("sending", "◌"), ("sent", "✓"), ("delivered", "✓✓"), ("read", "✓✓")])
def test_ticks_stand_at_ones_own(status: str, tick: str) -> None:
    assert drawing.draw_message(message(sender="alice", status=status), "alice", str).plain.splitlines()[0].endswith(f"  {tick}")
    assert "✓" not in drawing.draw_message(message(status=status), "alice", str).plain


def test_what_stands_in_a_message() -> None:
    failed = drawing.draw_message(message(sender="alice", status="failed", error=CaasError("blocked")), "alice", str).plain
    assert "✗ not sent (blocked)" in failed
    assert "deleted" in drawing.draw_message(message(text=None, deleted_at=1), "alice", str).plain
    shown = drawing.draw_message(message(pinned=True, edited_at=1, reactions={"👍": Reaction(2, ("a", "b"))},
                                         attachments=({"kind": "file", "url": "u", "name": "tea.pdf"},)), "alice", str, day="Monday").plain
    assert all(part in shown for part in ("── Monday ──", "⚑ pinned", "edited", "👍 2", "📎 tea.pdf"))
    quoted = drawing.draw_message(message(reply_to="x"), "alice", str, message(sender="carol", text="a\nb" * 50)).plain
    assert "┃ carol: a ba b" in quoted
    assert "…" in quoted


def test_rows_typing_and_states() -> None:
    row = Row("c", last_n=5, read_n=3, unread_mentions=1)
    assert drawing.draw_row(row, "Tea", None, is_open=False).plain == "# Tea @ 2"
    assert drawing.draw_row(Row("c"), "Bob", "online", is_open=True).plain == "● Bob"
    assert [drawing.draw_typing(users, str) for users in ([], ["a"], ["a", "b"], ["a", "b", "c"], list("abcd"))] == [
        "", "a is typing…", "a and b are typing…", "a, b and c are typing…", "several people are typing…"]
    states: list[tuple[State, str]] = [("connected", "● connected"), ("reconnecting", "◌ reconnecting (network, next try in 3 s)"),
                                       ("auth_failed", "○ auth failed (network)")]
    assert [drawing.draw_state(StateChange(state, "network", 3.0)).plain for state, _ in states] == [said for _, said in states]
