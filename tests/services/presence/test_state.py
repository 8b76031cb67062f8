"""The state machine of presence, pure: any history of devices is compared with what the rule says of it in one sentence."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from services.presence.model import STATUSES, Chosen
from services.presence.state import AWAY_AFTER_S, GONE_AFTER_S, Devices, others_view, own_view


class Device(NamedTuple):
    worker: str
    last: float
    """When it sent a command."""


def expected(devices: list[Device], left_at: float | None, idle_then: bool, chosen: str, now: float) -> str:
    """The rule: there with a device, or without one for less than 30 s; away when no device has sent anything for 5 min."""
    if not devices and (left_at is None or now - left_at >= GONE_AFTER_S):
        return "offline"
    idle = min(now - device.last for device in devices) >= AWAY_AFTER_S if devices else idle_then
    return "away" if chosen == "online" and idle else chosen


steps = st.lists(st.tuples(st.sampled_from(["come", "go", "use", "wait", "choose"]), st.integers(0, 400), st.sampled_from("12"),
                           st.sampled_from(STATUSES)), max_size=60)


@given(steps)
def test_any_history_of_devices_says_what_the_rule_says(history: list[tuple[str, int, str, str]]) -> None:
    known, devices, chosen, now = Devices(), list[Device](), "online", 0.0
    known.absent()
    left_at: float | None = None
    idle_then = False
    for what, number, worker, status in history:
        if what == "come":
            devices.append(Device(worker, now))
        elif what == "go" and devices:
            idle_then = min(now - device.last for device in devices) >= AWAY_AFTER_S
            gone = devices.pop(number % len(devices))
            if not devices:
                left_at = now
            if gone.worker not in {device.worker for device in devices}:
                assert known.left(gone.worker, int(now * 1000)) == (not devices)
        elif what == "use" and devices:
            place = number % len(devices)
            devices[place] = devices[place]._replace(last=now)
        elif what == "wait":
            now += number
            if not devices and left_at is not None and now - left_at >= GONE_AFTER_S and known.there:
                known.absent()
        else:
            chosen = status
        for name in {device.worker for device in devices}:  # workers say what has changed with them
            known.here(name, all(now - device.last >= AWAY_AFTER_S for device in devices if device.worker == name))
        truth = expected(devices, left_at, idle_then, chosen, now)
        picked = Chosen(chosen)
        assert own_view(known.there, known.idle, picked)["status"] == truth
        assert others_view(known.there, known.idle, picked)["status"] == ("offline" if chosen == "invisible" else truth)


@given(st.sampled_from([True, False, None]), st.booleans(), st.text(max_size=5), st.integers(0, 9))
def test_an_invisible_user_looks_like_one_who_is_not_there(there: bool | None, idle: bool, text: str, seen_at: int) -> None:
    assert others_view(there, idle, Chosen("invisible", text, seen_at)) == own_view(False, False, Chosen("online", "", seen_at))


def test_text_and_last_seen() -> None:
    chosen = Chosen("dnd", "busy", 7)
    assert own_view(True, True, chosen) == {"status": "dnd", "text": "busy"}
    assert own_view(False, True, chosen) == {"status": "offline", "last_seen_at": 7}
    assert own_view(None, False, chosen) == {"status": "unknown"}
    assert own_view(False, False, Chosen()) == {"status": "offline"}


def test_who_was_seen_a_moment_ago_is_believed_only_while_nothing_is_known() -> None:
    devices = Devices()
    assert devices.believe(5)
    assert (devices.there, devices.left_at) == (True, 5)
    assert not devices.believe(6)
    devices.absent()
    assert not devices.believe(7)
    assert devices.there is False
