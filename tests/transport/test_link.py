"""Links between workers: order, bounds, and exactly one reply to each question."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol.errors import Refused
from transport.link import Links
from transport.pipe import MOST_WAITING, Kind, frame

MEGABYTE = bytes(1024 * 1024)


class Recorder:
    """An owner of links that keeps what comes, and answers `["double", n]` with 2n."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.held: list[object] = []
        self.answers: list[object] = []

    def asked(self, worker, message, answer):
        self.seen.append(message)
        match message:
            case ["double", number]:
                answer(number * 2, None)
            case ["refuse"]:
                answer(None, Refused("too_large", "Too much.", field="p.text", limit=("text", 5, 6), retry_after_ms=7))
            case ["fail"]:
                answer(None, RuntimeError("a secret"))
            case ["huge"]:
                answer(bytes(MOST_WAITING), None)
            case ["twice"]:
                answer(1, None)
                answer(2, None)
            case _:
                self.held.append(answer)

    def told(self, worker, message):
        self.seen.append(message)

    def dropped(self, worker):
        self.seen.append(("dropped", worker))


class Replies:
    """Collects what `post` replies."""

    def __init__(self) -> None:
        self.came: list[object] = []

    def __call__(self, value: object, error: Exception | None) -> None:
        self.came.append(error.code if isinstance(error, Refused) else value)


@contextlib.asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Links, Recorder, Links, Recorder]]:
    one, other = Recorder(), Recorder()
    a, b = Links(folder, "a", one), Links(folder, "b", other)
    async with trio.open_nursery() as nursery:
        a.members(("a", "b"))
        b.members(("a", "b"))
        await nursery.start(a.run)
        await nursery.start(b.run)
        with trio.fail_after(30):
            await a.wait_linked(("a", "b"))
            await b.wait_linked(("a", "b"))
        yield a, one, b, other
        nursery.cancel_scope.cancel()


class Peer:
    """Worker `z` as a bare socket, which reads and writes only when told to."""

    def __init__(self, folder: Path) -> None:
        self._listener = trio.socket.socket(socket.AF_UNIX)
        self._path = str(folder / "z.sock")
        self.socket: trio.socket.SocketType

    async def listen(self) -> None:
        await self._listener.bind(self._path)
        self._listener.listen(8)

    async def take(self) -> None:
        self.socket, _ = await self._listener.accept()
        assert await self.socket.recv(100) == frame("a")
        await self.socket.send(frame("z"))

    def close(self) -> None:
        self._listener.close()


@contextlib.asynccontextmanager
async def linked_to_peer(folder: Path) -> AsyncIterator[tuple[Links, Recorder, Peer]]:
    serve, peer = Recorder(), Peer(folder)
    links = Links(folder, "a", serve)
    await peer.listen()
    links.members(("a", "z"))
    async with trio.open_nursery() as nursery:
        await nursery.start(links.run)
        await peer.take()
        await links.wait_linked(("z",))
        yield links, serve, peer
        nursery.cancel_scope.cancel()
    peer.socket.close()
    peer.close()


async def test_a_question_is_answered_both_ways(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, _, b, _other):
        assert await a.ask("b", ["double", 4]) == 8
        assert await b.ask("a", ["double", 21]) == 42


async def test_a_refusal_travels_whole_and_a_failure_tells_nothing(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, *_):
        with pytest.raises(Refused) as caught:
            await a.ask("b", ["refuse"])
        refused = caught.value
        assert (refused.code, refused.message, refused.field) == ("too_large", "Too much.", "p.text")
        assert (refused.limit, refused.retry_after_ms) == (("text", 5, 6), 7)
        with pytest.raises(Refused) as caught:
            await a.ask("b", ["fail"])
        assert caught.value.code == "internal"
        assert "secret" not in caught.value.message


async def test_posts_and_tells_arrive_in_order_and_answers_come_before_later_tells(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, one, b, other):
        replies = Replies()
        for number in range(500):
            a.post("b", ["held", number], replies)
            a.tell("b", ["told", number])
        await trio.testing.wait_all_tasks_blocked()
        assert other.seen == [[kind, number] for number in range(500) for kind in ("held", "told")]
        order: list[object] = one.seen
        a.post("b", ["last"], lambda value, error: order.append(("answer", value)))
        await trio.testing.wait_all_tasks_blocked()
        other.held[-1]("yes", None)
        b.tell("a", ["after"])
        await trio.testing.wait_all_tasks_blocked()
        assert order == [("answer", "yes"), ["after"]]


async def test_frames_larger_than_one_read_arrive(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, _, _b, other):
        for size in (1, 65_535, 65_536, 1_000_000, 3_000_000):
            assert a.tell("b", [bytes(size)])
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert [len(message[0]) for message in other.seen] == [1, 65_535, 65_536, 1_000_000, 3_000_000]


async def test_without_a_link_nothing_is_delivered_and_the_reply_comes_later(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, *_):
        replies = Replies()
        a.post("nobody", ["x"], replies)
        assert replies.came == []
        assert a.tell("nobody", ["x"]) is False
        await trio.testing.wait_all_tasks_blocked()
        assert replies.came == ["unavailable"]


async def test_a_question_nobody_answers_times_out_once(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, _, _b, other):
        replies, began = Replies(), trio.current_time()
        a.post("b", ["held"], replies, timeout=3.0)
        await trio.testing.wait_all_tasks_blocked()
        while not replies.came:
            await trio.sleep(0.1)
        assert 3.0 <= trio.current_time() - began <= 3.3
        other.held[0]("late", None)
        await trio.sleep(1)
        assert replies.came == ["timeout"]


async def test_answering_twice_replies_once(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, *_):
        replies = Replies()
        a.post("b", ["twice"], replies)
        await trio.sleep(1)
        assert replies.came == [1]


async def test_what_does_not_fit_is_refused_and_the_link_lives(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, one, _b, _other):
        with pytest.raises(Refused) as caught:
            await a.ask("b", bytes(MOST_WAITING + 1))
        assert caught.value.code == "too_large"
        with pytest.raises(Refused) as caught:
            await a.ask("b", ["huge"])
        assert caught.value.code == "unavailable"
        assert one.seen == []
        assert a.linked() == {"b"}


async def test_a_peer_that_does_not_read_blocks_nobody_and_is_dropped_at_8_mib(tmp_path, autojump_clock):
    async with linked_to_peer(tmp_path) as (links, serve, peer):
        replies = Replies()
        links.post("z", ["first"], replies)
        await trio.testing.wait_all_tasks_blocked()
        told = 0
        while links.tell("z", [MEGABYTE]):
            told += 1
            await trio.testing.wait_all_tasks_blocked()
        assert 7 <= told <= 9  # what the kernel holds comes on top
        links.post("z", ["never"], replies)
        assert serve.seen == []  # nobody is told from inside a call of theirs
        await trio.testing.wait_all_tasks_blocked()
        assert serve.seen == [("dropped", "z")]
        assert sorted(replies.came) == ["timeout", "unavailable"]  # the first had left, the second never did
        peer.socket.close()
        await peer.take()
        await links.wait_linked(("z",))


async def test_what_waited_behind_a_full_socket_was_surely_not_delivered(tmp_path, autojump_clock):
    async with linked_to_peer(tmp_path) as (links, _, peer):
        replies = Replies()
        for _ in range(3):
            links.tell("z", [MEGABYTE])
        links.post("z", ["behind"], replies)
        await trio.testing.wait_all_tasks_blocked()
        peer.socket.close()
        await trio.testing.wait_all_tasks_blocked()
        assert replies.came == ["unavailable"]


async def test_a_link_that_breaks_is_told_on_both_sides_and_made_again(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, one, b, other):
        replies = Replies()
        a.post("b", ["held"], replies)
        await trio.testing.wait_all_tasks_blocked()
        b.members(("b",))
        await trio.testing.wait_all_tasks_blocked()
        assert replies.came == ["timeout"]
        assert ("dropped", "b") in one.seen
        assert ("dropped", "a") in other.seen
        other.held[0]("late", None)  # over a link that is gone: nobody hears
        b.members(("a", "b"))
        await a.wait_linked(("b",))
        assert await a.ask("b", ["double", 1]) == 2
        assert replies.came == ["timeout"]


async def test_a_worker_that_comes_again_takes_the_place_of_its_former_life(tmp_path, autojump_clock):
    serve = Recorder()
    links = Links(tmp_path, "m", serve)
    async with trio.open_nursery() as nursery:
        await nursery.start(links.run)
        first, second = [await _dial(tmp_path / "m.sock", "a") for _ in range(2)]
        await second.send(frame(Kind.TELL, "living"))
        await trio.testing.wait_all_tasks_blocked()
        assert serve.seen == [("dropped", "a"), "living"]
        assert await first.recv(10) == b""
        first.close()
        second.close()
        nursery.cancel_scope.cancel()


async def _dial(path: Path, name: str) -> trio.socket.SocketType:
    made = trio.socket.socket(socket.AF_UNIX)
    await made.connect(str(path))
    await made.send(frame(name))
    assert await made.recv(100) == frame("m")
    return made


@pytest.mark.parametrize("bad", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\1\xc0", frame(9, 9), frame(Kind.REFUSE, 1, [1])])
async def test_bytes_that_are_no_frame_end_the_link(tmp_path, autojump_clock, bad):
    async with linked_to_peer(tmp_path) as (links, serve, peer):
        await peer.socket.send(bad)
        await trio.testing.wait_all_tasks_blocked()
        assert serve.seen == [("dropped", "z")]
        assert links.linked() == frozenset()


async def test_a_peer_that_does_not_say_who_it_is_is_hung_up_on(tmp_path, autojump_clock):
    links = Links(tmp_path, "m", Recorder())
    async with trio.open_nursery() as nursery:
        await nursery.start(links.run)
        silent = trio.socket.socket(socket.AF_UNIX)
        await silent.connect(str(tmp_path / "m.sock"))
        with trio.fail_after(3):
            assert await silent.recv(10) == b""
        silent.close()
        assert links.linked() == frozenset()
        nursery.cancel_scope.cancel()


async def test_every_question_is_answered_when_the_links_stop(tmp_path, autojump_clock):
    replies = Replies()
    async with pair(tmp_path) as (a, *_):
        a.post("b", ["held"], replies)
        await trio.testing.wait_all_tasks_blocked()
    assert replies.came == ["timeout"]
    a.post("b", ["after"], replies)
    assert replies.came == ["timeout", "unavailable"]


async def test_links_that_died_are_run_again(tmp_path, autojump_clock):
    async with pair(tmp_path) as (a, _, b, _other):
        pass
    async with trio.open_nursery() as nursery:
        await nursery.start(b.run)
        await nursery.start(a.run)
        await a.wait_linked(("b",))
        assert await a.ask("b", ["double", 5]) == 10
        nursery.cancel_scope.cancel()


async def test_a_socket_left_by_a_former_life_and_a_long_path_are_no_hindrance(tmp_path, autojump_clock):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    (folder / "a.sock").touch()
    async with pair(folder) as (a, *_):
        assert await a.ask("b", ["double", 3]) == 6
