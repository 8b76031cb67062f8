"""Checks of the engines of a cluster: whether they are there, let us in, and are fit to be trusted. Embedded there is nothing to look at."""

from caas.checks.model import Found, Ground, bad, skipped
from storage.failing import Unfit
from storage.ports.errors import StorageAway

_MEND = "see that it is started, and that its address is the one configured"


def kafka(ground: Ground) -> Found:
    """The brokers let us in, and there are as many as the log needs."""
    return _looked(ground, "kafka")


def mongodb(ground: Ground) -> Found:
    """It lets us in, and is a replica set that keeps what it has acknowledged."""
    return _looked(ground, "mongodb")


def redis(ground: Ground) -> Found:
    """It lets us in."""
    return _looked(ground, "redis")


def registry(ground: Ground) -> Found:
    """Where one is named: it answers."""
    return _looked(ground, "registry")


def _looked(ground: Ground, name: str) -> Found:
    if ground.config.backend != "cluster":
        return skipped("everything is on this machine")
    try:
        from caas.checks import reaching  # the drivers are there where a cluster is
        from caas.cluster import engines_of
        from storage.cluster.explaining import mend
    except ImportError as error:
        return bad(f"{error.name} is not installed", "pip install 'caas-server[cluster]'")
    try:
        found: Found = getattr(reaching, name)(ground.config, engines_of(ground.config))
        return found
    except (Unfit, StorageAway) as error:
        line = mend(str(error))
        return bad(str(error).removesuffix(f": {line}"), line or _MEND)
