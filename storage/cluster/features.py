"""Which features the brokers have switched on: a question of Kafka's protocol that no client library asks.

ApiVersions, version 3, on a connection of its own: it is answered before anybody has said who they are. The answer ends in tagged fields,
and the one with tag 2 lists the finalized features.
"""

import socket
import ssl
from collections.abc import Mapping

from storage.cluster.kafka import ANSWER_S, Kafka
from storage.ports.errors import StorageAway

Features = Mapping[str, int]
"""The level of each feature that is on."""

_API_VERSIONS, _VERSION = 18, 3
_FINALIZED = 2
_MOST_BYTES = 1 << 20


def finalized(kafka: Kafka) -> Features:
    """What the first broker that answers says. Raises StorageAway. Blocks."""
    last: Exception | None = None
    for address in kafka.bootstrap.split(","):
        try:
            return read_features(_ask(address.strip(), kafka.properties))
        except (OSError, ValueError) as error:
            last = error
    raise StorageAway(f"no broker of {kafka.bootstrap} says which features it has: {last}")


def _ask(address: str, properties: Mapping[str, str]) -> bytes:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as plain, _secured(plain, host, properties) as connection:
        connection.sendall(_request())
        size = int.from_bytes(_exactly(connection, 4), "big")
        if not 4 < size <= _MOST_BYTES:
            raise ValueError(f"an answer of {size} bytes is none")
        return _exactly(connection, size)


def _secured(plain: socket.socket, host: str, properties: Mapping[str, str]) -> socket.socket:
    if properties.get("security.protocol", "").upper() not in ("SSL", "SASL_SSL"):
        return plain
    context = ssl.create_default_context(cafile=properties.get("ssl.ca.location"))
    if certificate := properties.get("ssl.certificate.location"):
        context.load_cert_chain(certificate, properties.get("ssl.key.location"), properties.get("ssl.key.password"))
    return context.wrap_socket(plain, server_hostname=host)


def _request() -> bytes:
    name = b"caas"
    body = (_API_VERSIONS.to_bytes(2, "big") + _VERSION.to_bytes(2, "big") + (1).to_bytes(4, "big") + len(name).to_bytes(2, "big") + name + b"\0"
            + bytes([len(name) + 1]) + name + b"\x021" + b"\0")
    return len(body).to_bytes(4, "big") + body


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        if not (more := connection.recv(size - len(got))):
            raise OSError("the broker closed the connection")
        got += more
    return got


class _Reader:
    """Reads the protocol's shapes from bytes. Raises ValueError where they end too soon."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("the answer ends too soon")
        self._at += size
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big", signed=True)

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        return self.take(self.varint() - 1).decode()

    def tagged(self) -> dict[int, bytes]:
        return {self.varint(): self.take(self.varint()) for _ in range(self.varint())}


def read_features(answer: bytes) -> Features:
    """The finalized features in an answer to ApiVersions. Raises ValueError."""
    read = _Reader(answer)
    read.number(4)  # which question it answers
    if error := read.number(2):
        raise ValueError(f"the broker answers with error {error}")
    for _ in range(read.varint() - 1):
        read.take(6)
        read.tagged()
    read.number(4)  # throttling
    listed = _Reader(read.tagged().get(_FINALIZED, b"\1"))
    found = {}
    for _ in range(listed.varint() - 1):
        name, most, _ = listed.text(), listed.number(2), listed.number(2)
        listed.tagged()
        found[name] = most
    return found
