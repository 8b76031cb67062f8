"""Free TCP ports below those that the kernel gives to outgoing connections: a member that is started again finds its own still free."""

import random
import socket

_LOWEST, _HIGHEST = 20_000, 32_000
_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """So many, each given once in this process."""
    return [_free_port() for _ in range(count)]


def _free_port() -> int:
    while True:
        port = random.randrange(_LOWEST, _HIGHEST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(port: int, host: str = "127.0.0.1", within_s: float = 1.0) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), within_s).close()
    except OSError:
        return False
    return True
