"""The rules of typing, without time or rooms: any sequence of acts is compared with the plainest model there is."""

from hypothesis import given
from hypothesis import strategies as st

from services.typing.typists import Typist, Typists


def typist(user: str = "a", connection: str = "1", kind: str = "text", thread: str = "", since: float = 0.0) -> Typist:
    return Typist(user, user, connection, kind, thread, since)


def test_a_start_within_a_second_is_not_told_and_does_not_count() -> None:
    typists = Typists()
    assert typists.start(typist(since=0)) == (True, ())
    assert typists.start(typist(since=0.9)) == (False, ())
    assert typists.due == 6.0
    assert typists.start(typist(since=1.0)) == (True, ())
    assert typists.due == 7.0


def test_after_a_stop_a_start_is_told_at_once() -> None:
    typists = Typists()
    typists.start(typist(since=0))
    assert typists.end(lambda other: True) == [typist(since=0)]
    assert typists.start(typist(since=0.1)) == (True, ())


def test_a_connection_types_one_thing() -> None:
    typists = Typists()
    typists.start(typist(since=0))
    assert typists.start(typist(kind="voice", since=0.5)) == (True, [typist(since=0)])
    assert len(typists) == 1


def test_with_two_devices_the_last_one_ends_it() -> None:
    typists = Typists()
    typists.start(typist(connection="1"))
    typists.start(typist(connection="2"))
    assert typists.end(lambda other: other.connection == "1") == []
    assert typists.end(lambda other: other.connection == "2") == [typist(connection="2")]


who = st.tuples(st.sampled_from("abc"), st.sampled_from("12"))
what = st.tuples(st.sampled_from(["text", "voice"]), st.sampled_from(["", "t"]))
acts = st.lists(st.tuples(st.sampled_from(["start", "stop", "sent", "wait"]), who, what), max_size=40)


@given(acts)
def test_whoever_listens_knows_who_types(done: list[tuple[str, tuple[str, str], tuple[str, str]]]) -> None:
    """What is told, taken as it comes, is at every moment what is true; and nobody is told twice that something is over."""
    typists, heard, now = Typists(), set[tuple[str, str, str]](), 0.0
    true: dict[tuple[str, str], tuple[str, str]] = {}
    for act, (user, connection), (kind, thread) in done:
        ended = ()
        if act == "start":
            told, ended = typists.start(typist(user, connection, kind, thread, now))
            true[user, connection] = (kind, thread)
        elif act == "stop":
            ended = typists.end(lambda other, of=(user, connection): other.who == of)  # type: ignore[misc]
            true.pop((user, connection), None)
        elif act == "sent":
            ended = typists.end(lambda other, of=user: other.user == of)  # type: ignore[misc]
            true = {of: typed for of, typed in true.items() if of[0] != user}
        else:
            now += 0.7
        for over in ended:
            assert over.what in heard
            heard.remove(over.what)
        if act == "start" and told:
            heard.add((user, kind, thread))
        assert heard == {(of[0], *typed) for of, typed in true.items()}
