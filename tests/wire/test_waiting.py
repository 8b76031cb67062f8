"""What the protocol says in seconds (`waiting.py`): begun with the first test of the wire, asked for by the last."""

from concurrent.futures import Future


def test_everything_that_takes_time(parts: list[Future[None]]) -> None:
    wrong = [error for error in (part.exception() for part in parts) if error is not None]
    assert not wrong, wrong
