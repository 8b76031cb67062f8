"""Checks of the program itself: Python, what it needs, that its parts are its own, and its configuration."""

import re
from importlib.metadata import PackageNotFoundError
from ipaddress import ip_address
from pathlib import Path

import caas
from caas.checks.model import Found, Ground, bad, doubtful, good, skipped

LEAST_PYTHON = (3, 11)
PACKAGES = ("protocol", "supervisor", "storage", "services", "actors", "transport", "caas")

_BOUND = re.compile(r"(>=|<|==)\s*([0-9.]+)")


def python(ground: Ground) -> Found:
    """A version that this program was written for."""
    found = ground.machine.python()
    said = f"Python {'.'.join(map(str, found))}"
    if found[:2] < LEAST_PYTHON:
        return bad(said, f"install Python {'.'.join(map(str, LEAST_PYTHON))} or newer, and make the environment anew")
    return good(said)


def packages(ground: Ground) -> Found:
    """Each needed package is there, in a version that will do."""
    try:
        needed = ground.machine.needs()
    except PackageNotFoundError:
        return bad("caas-server is not installed here", "pip install caas-server, or `make setup` in a copy of the sources")
    wrong = [f"{name} {found or 'is missing'} (needs {bounds or 'any'})" for name, bounds in needed.items()
             if not fits(found := ground.machine.installed(name), bounds)]
    if wrong:
        return bad(", ".join(wrong), "pip install --require-hashes -r requirements.txt")
    return good(f"{len(needed)} packages, each as needed")


def fits(version: str | None, bounds: str) -> bool:
    """Whether a version is within bounds such as `>=1.2,<2`."""
    if version is None:
        return False
    have = _numbers(version)
    for sign, bound in _BOUND.findall(bounds):
        least = _numbers(bound)
        if not {">=": have >= least, "<": have < least, "==": have[:len(least)] == least}[sign]:
            return False
    return True


def names(ground: Ground) -> Found:
    """The packages that are imported are ours: another distribution may bring one of the same name (supervisord does)."""
    root = Path(caas.__file__).resolve().parents[1]
    foreign = [f"{name} from {found or 'nowhere'}" for name in PACKAGES if (found := ground.machine.package_folder(name)) != root / name]
    if foreign:
        return bad(f"not ours: {', '.join(foreign)}",
                   "give CAAS an environment of its own, or uninstall what clashes (supervisord's distribution is `supervisor`)")
    return good(f"all parts come from {root}")


def accelerator(ground: Ground) -> Found:
    """Not needed; where it is there, it fits."""
    choice = ground.config.accelerated
    found = ground.machine.acceleration(choice)
    if found.on:
        return good(f"{found.said}, taken from the next start of a worker on")
    if choice == "on":
        return bad(f"`accelerated` is on, and {found.said}", "`make accelerator`, or set `accelerated` to auto")
    if found.wrong:
        return doubtful(f"{found.said}; workers run in pure Python", "`make accelerator`, or pip uninstall caas-accelerator")
    return skipped(found.said)


def configuration(ground: Ground) -> Found:
    """It can be read, each value is possible, and together they make sense."""
    config = ground.config
    if ground.bad_config:
        return bad(ground.bad_config, "mend that line; docs/operate.md has the values")
    if config.tls_key and not config.tls_certificate:
        return bad("`tls_key` is set and `tls_certificate` is not: the port would not speak TLS", "set both, or none")
    if config.dev and not is_own(config.host):
        return bad(f"`dev` is on and the port is open to {config.host}: its keys are known to everybody",
                   "take `dev` away, or set `host` to 127.0.0.1")
    if not config.limits and not is_own(config.host):
        return doubtful(f"`limits` is off and the port is open to {config.host}", "set `limits` on")
    if not config.tls_certificate and not is_own(config.host):
        return doubtful(f"the port is open to {config.host} without TLS", "put a balancer with TLS before it, or set `tls_certificate` and `tls_key`")
    if config.workers > 4 * ground.machine.processors():
        return doubtful(f"{config.workers} workers on {ground.machine.processors()} processors", "set `workers` to the number of processors")
    return good("readable, and its values go together")


def is_own(host: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:4])
