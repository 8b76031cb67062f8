"""What is measured: one file each. A workload has three plans (tiny for tests, short, full) and yields rows."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

NAMES = ("big_room", "small_rooms", "durable_send", "idle", "idle_many", "connect_storm", "reconnect_storm", "presence_churn", "catch_up",
         "slow_readers", "loud_tenant", "overload", "cross_worker", "echo")


class Workload(NamedTuple):
    """One of them."""

    name: str
    about: str
    plans: dict[str, Any]
    """By size: tiny, short, full."""
    measure: Callable[[Any, Any], Iterator[Any]]


def workload(name: str) -> Workload:
    """By its file's name."""
    module = import_module(f"bench.workloads.{name}")
    return Workload(name, (module.__doc__ or "").strip(), {"tiny": module.TINY, "short": module.SHORT, "full": module.FULL}, module.measure)
