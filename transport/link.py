"""Links between the workers of a node: one Unix socket for each pair, so that all one worker says to another arrives in order.

The worker whose id sorts first dials; whatever breaks, it dials again. A link is bounded: when 8 MiB wait for a peer that does not
read (stopped, or drowning), the link is dropped and everything registered for it is void; what lasts is repeated from the log.
"""

import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import trio

from protocol.errors import Refused
from transport.pipe import MOST_WAITING, Broken, Kind, Pipe, Reply, frame, pack_refusal, read_greeting, unpack_refusal

POST_WITHIN_S: Final = 10.0
"""How long a question may be open."""

_GREETING_S = 2.0
_AGAIN_S = 0.05  # trying costs some 20 us, and a worker that comes back is soon among us
_SWEEP_S = 0.1
_BACKLOG = 64
_LONGEST_PATH = 100  # the kernel takes 107 bytes

_log = logging.getLogger("link")


class Serve(Protocol):
    """What the owner of the links does with what comes. Called in order of arrival, in the links' own task; must not wait."""

    def asked(self, worker: str, message: object, answer: Reply) -> None:
        """A question: call `answer(value, None)` or `answer(None, error)` once, now or later."""
        ...

    def told(self, worker: str, message: object) -> None:
        """Something that wants no answer."""
        ...

    def dropped(self, worker: str) -> None:
        """The link broke: whatever was registered for this worker over it is void."""
        ...


class Links:
    """The links of one worker. `run` keeps them; the other methods are for that worker's trio thread and never wait."""

    def __init__(self, folder: Path, me: str, serve: Serve) -> None:
        self._folder, self._me, self._serve = folder, me, serve
        self._pipes: dict[str, Pipe] = {}
        self._diallers: dict[str, trio.CancelScope] = {}
        self._members: frozenset[str] = frozenset()
        self._nursery: trio.Nursery | None = None
        self._number = 0
        self._later: deque[tuple[Reply, Refused]] = deque()  # never called from inside `post`
        self._wake = trio.Event()
        self._changed = trio.Event()

    def members(self, workers: Iterable[str]) -> None:
        """Whom to be linked to from now on (oneself may be among them)."""
        self._members = frozenset(workers) - {self._me}
        for worker in self._pipes.keys() - self._members:
            self._pipes[worker].drop()
        for worker in self._diallers.keys() - self._members:
            self._diallers.pop(worker).cancel()
        self._dial_missing()

    def linked(self) -> frozenset[str]:
        """The workers that can be reached now."""
        return frozenset(worker for worker, pipe in self._pipes.items() if pipe.alive)

    async def wait_linked(self, workers: Iterable[str]) -> None:
        """Return when all of these can be reached."""
        wanted = frozenset(workers) - {self._me}
        while not wanted <= self.linked():
            await self._changed.wait()

    def post(self, worker: str, message: object, reply: Reply, timeout: float = POST_WITHIN_S) -> None:
        """Ask. `reply` is called once, never from within: with the answer, with what the other refused with, with `unavailable`
        when it surely was not delivered, or with `timeout` (seconds) when nobody can say. In order with `tell`."""
        self._number += 1
        data = frame(Kind.ASK, self._number, message)
        pipe = self._pipes.get(worker)
        if len(data) > MOST_WAITING:
            self._refuse(reply, Refused("too_large", "It does not fit through a link between workers."))
        elif pipe is None or not pipe.ask(self._number, data, reply, trio.current_time() + timeout):
            self._refuse(reply, Refused("unavailable", "The worker that has this cannot be reached just now: try again."))

    def tell(self, worker: str, message: object) -> bool:
        """Say something that wants no answer; False when there is no link. In order with `post`."""
        pipe = self._pipes.get(worker)
        return pipe is not None and pipe.put(frame(Kind.TELL, message))

    async def ask(self, worker: str, message: object, timeout: float = POST_WITHIN_S) -> Any:
        """As `post`, and wait for the answer. Raises Refused."""
        done, came = trio.Event(), list[tuple[object, Exception | None]]()

        def reply(value: object, error: Exception | None) -> None:
            came.append((value, error))
            done.set()

        self.post(worker, message, reply, timeout)
        await done.wait()
        value, error = came[0]
        if error is not None:
            raise error
        return value

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, dial, and keep dialling; until cancelled. Raises OSError when the socket cannot be opened."""
        with _listening(self._folder, self._me) as listener:
            try:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self._accept, listener, nursery)
                    nursery.start_soon(self._refuse_later)
                    nursery.start_soon(self._sweep)
                    self._dial_missing()
                    task_status.started()
            finally:
                self._nursery = None
                self._diallers.clear()
                self._refuse_now()

    def _dial_missing(self) -> None:
        if self._nursery is None:
            return
        for worker in sorted(self._members - self._diallers.keys()):
            if self._me < worker:
                scope = self._diallers[worker] = trio.CancelScope()
                self._nursery.start_soon(self._dial, worker, scope)

    async def _dial(self, worker: str, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                with contextlib.closing(_socket()) as sock, contextlib.suppress(OSError, Broken, trio.TooSlowError):
                    rest = await self._greet(worker, sock)
                    await self._keep(Pipe(worker, sock, rest, b""))
                await trio.sleep(_AGAIN_S)

    async def _greet(self, worker: str, sock: socket.socket) -> bytes:
        """Connect and exchange names: a stopped process takes connections too, but says nothing."""
        with trio.fail_after(_GREETING_S):
            with _short(self._folder, worker) as path:
                sock.connect(path)
            sock.send(frame(self._me))
            name, rest = await read_greeting(sock)
        if name != worker:
            raise Broken(f"{worker} calls itself {name}")
        return rest

    async def _accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                sock, _ = listener.accept()
                sock.setblocking(False)
                nursery.start_soon(self._welcome, sock)

    async def _welcome(self, sock: socket.socket) -> None:
        with contextlib.closing(sock), contextlib.suppress(OSError, Broken, trio.TooSlowError):
            with trio.fail_after(_GREETING_S):
                worker, rest = await read_greeting(sock)
            await self._keep(Pipe(worker, sock, rest, frame(self._me)))

    async def _keep(self, pipe: Pipe) -> None:
        """The life of one link."""
        if (before := self._pipes.get(pipe.worker)) is not None:
            before.drop()
            self._end(before)
        self._pipes[pipe.worker] = pipe
        self._notify()
        try:
            with pipe.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, pipe)
                    nursery.start_soon(self._read, pipe)
        finally:
            self._end(pipe)

    def _end(self, pipe: Pipe) -> None:
        """Take a link out of the books, once, and tell everybody who counted on it."""
        if self._pipes.get(pipe.worker) is pipe:
            del self._pipes[pipe.worker]
            pipe.settle()
            _log.info("link dropped", extra={"peer": pipe.worker})
            self._serve.dropped(pipe.worker)

    async def _write(self, pipe: Pipe) -> None:
        with contextlib.suppress(OSError):
            await pipe.write()
        pipe.drop()

    async def _read(self, pipe: Pipe) -> None:
        with contextlib.suppress(OSError):
            try:
                while came := await pipe.frames():
                    for parts in came:
                        self._handle(pipe, parts)
            except Broken as error:
                _log.error("link broken", extra={"peer": pipe.worker}, exc_info=error)
        pipe.drop()

    def _handle(self, pipe: Pipe, parts: list[Any]) -> None:
        match parts:
            case [Kind.TELL, message]:
                self._serve.told(pipe.worker, message)
            case [Kind.ASK, int(number), message]:
                self._serve.asked(pipe.worker, message, _answerer(pipe, number))
            case [Kind.ANSWER, int(number), answer]:
                if (question := pipe.open.pop(number, None)) is not None:
                    question.reply(answer, None)
            case [Kind.REFUSE, int(number), [str(), str(), _, _, _] as refusal]:
                if (question := pipe.open.pop(number, None)) is not None:
                    question.reply(None, unpack_refusal(refusal))
            case _:
                raise Broken("a frame of no kind that we know")

    def _refuse(self, reply: Reply, refused: Refused) -> None:
        self._later.append((reply, refused))
        self._wake.set()
        if self._nursery is None:
            self._refuse_now()

    async def _refuse_later(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            self._refuse_now()

    def _refuse_now(self) -> None:
        while self._later:
            reply, refused = self._later.popleft()
            reply(None, refused)

    async def _sweep(self) -> None:
        """Questions are few and short: looking at all of them ten times a second costs less than a timer for each."""
        while True:
            await trio.sleep(_SWEEP_S)
            for pipe in list(self._pipes.values()):
                pipe.expire(trio.current_time())

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _answerer(pipe: Pipe, number: int) -> Callable[[object, Exception | None], None]:
    def answer(value: object, error: Exception | None) -> None:
        data = frame(Kind.ANSWER, number, value) if error is None else frame(Kind.REFUSE, number, pack_refusal(error))
        if len(data) > MOST_WAITING:
            data = frame(Kind.REFUSE, number, pack_refusal(Refused("unavailable", "The answer does not fit through a link: ask for less.")))
        pipe.put(data)

    return answer


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


@contextlib.contextmanager
def _listening(folder: Path, me: str) -> Iterator[socket.socket]:
    """Our socket. What an earlier life left there is removed: whoever runs us holds the lock on our id."""
    (folder / f"{me}.sock").unlink(missing_ok=True)
    with contextlib.closing(_socket()) as listener, _short(folder, me) as path:
        listener.bind(path)
        (folder / f"{me}.sock").chmod(0o600)
        listener.listen(_BACKLOG)
        yield listener


@contextlib.contextmanager
def _short(folder: Path, worker: str) -> Iterator[str]:
    """The path of a worker's socket, by way of an open folder where it is longer than the kernel takes."""
    path = str(folder / f"{worker}.sock")
    if len(path.encode()) <= _LONGEST_PATH:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{worker}.sock"
    finally:
        os.close(descriptor)
