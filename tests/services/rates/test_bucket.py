"""The bucket that is one number, laid beside one that counts tokens; and the bank that is made of them."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.rates.bank import _LOOK_AT, Bank
from services.rates.bucket import take, tokens, wait_s
from services.rates.model import SEND, TENANT, Allowance, Policy, changed, class_of


class Counting:
    """The naive model: tokens flow in with time, up to a burst, in exact numbers."""

    def __init__(self, per_s: int, burst: int) -> None:
        self.per_s, self.burst, self.tokens, self.at = per_s, burst, Fraction(burst), Fraction(0)

    def take(self, now: Fraction, want: int) -> int:
        self.tokens = min(Fraction(self.burst), self.tokens + (now - self.at) * self.per_s)
        self.at = now
        given = min(want, int(self.tokens))
        self.tokens -= given
        return given


STEPS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 40)), max_size=60)
"""Milliseconds since the step before, and how many are wanted."""


@given(per_s=st.integers(1, 200), burst=st.integers(1, 300), steps=STEPS)
def test_it_gives_what_a_counted_bucket_gives(per_s: int, burst: int, steps: list[tuple[int, int]]) -> None:
    allowance, counting, full_at, now = Allowance(per_s, burst), Counting(per_s, burst), 0.0, Fraction(0)
    for pause_ms, want in steps:
        now += Fraction(pause_ms, 1000)
        given, full_at = take(allowance, full_at, float(now), want)
        assert given == counting.take(now, want)
        assert abs(tokens(allowance, full_at, float(now)) - counting.tokens) < 1e-6


@given(per_s=st.integers(1, 200), burst=st.integers(1, 300), steps=STEPS)
def test_never_more_than_a_burst_and_what_flowed_in(per_s: int, burst: int, steps: list[tuple[int, int]]) -> None:
    allowance, full_at, now, all_given = Allowance(per_s, burst), 0.0, 0.0, 0
    for pause_ms, want in steps:
        now += pause_ms / 1000
        given, full_at = take(allowance, full_at, now, want)
        all_given += given
        assert all_given <= burst + now * per_s + 1e-6


@given(per_s=st.integers(1, 200), burst=st.integers(1, 300), pause_ms=st.integers(0, 5_000))
def test_after_the_wait_there_is_one_and_a_moment_before_there_is_none(per_s: int, burst: int, pause_ms: int) -> None:
    allowance = Allowance(per_s, burst)
    _, full_at = take(allowance, 0.0, 0.0, burst)
    now = pause_ms / 1000
    wait = wait_s(allowance, full_at, now)
    assert take(allowance, full_at, now + wait, 1)[0] == 1
    if wait > 0:
        assert take(allowance, full_at, now + wait * 0.99, 1)[0] == 0


def test_a_bank_keeps_callers_and_classes_apart_and_forgets_who_is_full() -> None:
    bank = Bank(Policy())
    assert bank.lend(0.0, "alice", SEND, 100).granted == 30
    assert bank.lend(0.0, "alice", SEND, 1) == (0, 0, 0.1)
    assert bank.lend(0.0, "bob", SEND, 1) == (1, 29, 0.0)
    assert bank.lend(0.0, TENANT, SEND, 1).left == 2_999
    assert len(bank) == 3
    bank.forget_full(2.9)
    assert len(bank) == 1
    bank.forget_full(3.0)
    assert len(bank) == 0


def test_a_bank_holds_no_more_than_who_was_active_just_now() -> None:
    bank = Bank(Policy())
    for number in range(20 * _LOOK_AT):
        bank.lend(number / 100, f"u{number}", SEND, 1)  # each is full again after 0.1 s
    assert len(bank) <= _LOOK_AT + 1


def test_only_to_ask_takes_nothing() -> None:
    bank = Bank(Policy())
    assert bank.lend(0.0, "alice", SEND, 0) == (0, 30, 0.0)
    assert len(bank) == 0


def test_only_the_classes_named_change() -> None:
    allowances = changed(Policy().user, {"send": 0.5}, {"read": 7})
    assert allowances[:2] == (Allowance(0.5, 30), Allowance(50, 7))
    assert allowances[2:] == Policy().user[2:]


def test_each_command_has_a_class() -> None:
    said = {("message.send", "POST"): "send", ("message.edit", "PATCH"): "admin", ("conversation.list", "GET"): "read",
            ("conversation.watch", ""): "read", ("presence.watch", ""): "read", ("typing.start", "POST"): "ephemeral",
            ("message.read", "POST"): "ephemeral", ("user.block", "POST"): "admin", ("user.get", "GET"): "read"}
    assert {key: class_of(*key) for key in said} == said
