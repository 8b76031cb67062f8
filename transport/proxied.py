"""Whose connection a balancer brings: the PROXY protocol, versions 1 and 2, that HAProxy, Envoy, nginx and the clouds' balancers speak.

Only from addresses that the configuration names, and from these always: a header that anybody may send, or leave out, says nothing.
"""

import ipaddress
import struct
from collections.abc import Awaitable, Callable, Collection
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIRST: Final = b"PROXY "
_LONGEST_LINE: Final = 107
_MOST: Final = 2_048
"""Bytes behind the fixed part of version 2: addresses, and what balancers like to add."""
_LOCAL, _PROXY = 0x20, 0x21
_SIZES: Final = {1: 4, 2: 16}
"""Bytes of an address, by family."""

Exactly = Callable[[int], Awaitable[bytes]]
"""So many bytes of the connection, no fewer. Raises OSError at its end."""


class BadHeader(Exception):
    """What came first is no header: this is no balancer, or one that is not told to send one."""


class Proxies:
    """The networks that balancers speak from."""

    def __init__(self, networks: Collection[str] = ()) -> None:
        """Addresses, or networks as `10.0.0.0/8`. Raises ValueError."""
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        own = ipaddress.ip_address(address.partition("%")[0])
        plain = own.ipv4_mapped or own if isinstance(own, ipaddress.IPv6Address) else own
        return any(plain in network for network in self._networks)


NOBODY: Final = Proxies()


async def read_source(exactly: Exactly) -> str | None:
    """The address of the client; None when the balancer speaks for itself (it looks whether we are well). Raises BadHeader, OSError."""
    begun = await exactly(len(_SIGNATURE))
    if begun == _SIGNATURE:
        return await _of_binary(exactly)
    if begun.startswith(_FIRST):
        return await _of_line(begun, exactly)
    raise BadHeader("the connection does not begin with a PROXY header")


async def _of_binary(exactly: Exactly) -> str | None:
    command, family, size = struct.unpack(">BBH", await exactly(4))
    if command not in (_LOCAL, _PROXY) or size > _MOST:
        raise BadHeader("a PROXY header of version 2 that cannot be read")
    body = await exactly(size)
    length = _SIZES.get(family >> 4)
    if command == _LOCAL or length is None:
        return None
    if size < 2 * length + 4:
        raise BadHeader("a PROXY header that is shorter than its addresses")
    return str(ipaddress.ip_address(body[:length]))


async def _of_line(begun: bytes, exactly: Exactly) -> str | None:
    line = begun
    while not line.endswith(b"\r\n"):
        if len(line) >= _LONGEST_LINE:
            raise BadHeader("a PROXY line without an end")
        line += await exactly(1)  # what follows the line is not ours to take
    parts = line.split()
    if parts[1:2] == [b"UNKNOWN"]:
        return None
    try:
        _, kind, source, *_ = parts
        address = ipaddress.ip_address(source.decode("ascii"))
    except ValueError as error:
        raise BadHeader("a PROXY line that cannot be read") from error
    if kind not in (b"TCP4", b"TCP6"):
        raise BadHeader("a PROXY line of a kind that there is not")
    return str(address)
