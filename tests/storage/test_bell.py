"""The bell between two threads."""

import threading

from storage.embedded.bell import Bell


def test_rung_before_or_while_somebody_waits_it_is_heard_once() -> None:
    bell = Bell()
    assert not bell.wait(0)
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)
    heard: list[bool] = []
    waiting = threading.Thread(target=lambda: heard.append(bell.wait(60)))
    waiting.start()
    bell.ring()
    waiting.join(60)
    assert heard == [True]


def test_what_was_done_before_it_rang_is_seen_however_the_two_fall_together() -> None:
    bell, put, taken = Bell(), list[int](), list[int]()

    def take() -> None:
        while len(taken) < 5_000:
            assert bell.wait(60), "a ring was lost"
            while put:
                taken.append(put.pop(0))

    taking = threading.Thread(target=take)
    taking.start()
    for number in range(5_000):
        put.append(number)
        bell.ring()
    taking.join(60)
    assert taken == list(range(5_000))
