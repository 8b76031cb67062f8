"""Checks of what the world reaches: the port, TLS, and how many may come."""

import errno
import http.client
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from caas.checks.model import Found, Ground, bad, doubtful, good, skipped
from caas.config import Config

LEAST_FILES, FEW_FILES = 1_024, 16_384
EXPIRES_WITHIN = timedelta(days=14)
_ANSWERS_WITHIN_S = 5.0


def port(ground: Ground) -> Found:
    """It is free; or a server has it that says it is ready."""
    config = ground.config
    if config.port == 0:
        return good("any free one is taken")
    where = f"port {config.port} of {config.host}"
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, number, _, address in found:
            with socket.socket(family, kind, number) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _holder(config, where)
        return bad(f"{where} cannot be listened on: {error.strerror}", "choose another `port` (above 1023 needs no rights), or another `host`")
    return good(f"{where} is free")


def _holder(config: Config, where: str) -> Found:
    """Who has it."""
    status = _ready(config)
    if status == 200:
        return good(f"{where}: a server answers there, and is ready")
    if status == 503:
        return doubtful(f"{where}: a server answers there, and is not ready", "wait; then look at its log and at `caas tree`")
    return bad(f"{where} is taken, and whatever has it does not answer /ready as we do", "stop it, or choose another `port`")


def _ready(config: Config) -> int:
    """The status of /ready; 0 for no answer."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    if config.tls_certificate:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # it is our own port: whose certificate it is, is another check
        line: http.client.HTTPConnection = http.client.HTTPSConnection(host, config.port, timeout=_ANSWERS_WITHIN_S, context=trusting)
    else:
        line = http.client.HTTPConnection(host, config.port, timeout=_ANSWERS_WITHIN_S)
    try:
        line.request("GET", "/ready")
        answer = line.getresponse()
        ours = answer.read(64) in (b'{"status":"ready"}', b'{"status":"not ready"}')
        return answer.status if ours else 0
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        line.close()


def files(ground: Ground) -> Found:
    """A worker may open enough of them: each connection is one."""
    most = ground.machine.files()
    said = f"{most} for each worker" if most < 1 << 30 else "as many as there are"
    if most < LEAST_FILES:
        return bad(said, "raise the hard limit: `ulimit -Hn 65536`, or LimitNOFILE=65536 in systemd")
    if most < FEW_FILES:
        return doubtful(f"{said}: some {most * 9 // 10} connections", "raise the hard limit: `ulimit -Hn 65536`, or LimitNOFILE=65536 in systemd")
    return good(said)


def tls(ground: Ground) -> Found:
    """The certificate can be read, belongs to its key, and does not run out within 14 days."""
    config = ground.config
    if not config.tls_certificate:
        return skipped("the port speaks no TLS")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(config.tls_certificate, config.tls_key or None, password=_no_password)
        certificate = x509.load_pem_x509_certificate(Path(config.tls_certificate).read_bytes())
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        return bad(f"{config.tls_certificate} with {config.tls_key or 'its own key'}: {error}",
                   "name a PEM certificate and its key, readable by the user that the server runs as, without a password")
    now = datetime.fromtimestamp(ground.machine.now_ms() / 1000, UTC)
    ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if now < certificate.not_valid_before_utc:
        return bad(f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}", "name a certificate that is valid now, or set the clock")
    if certificate.not_valid_after_utc - now < EXPIRES_WITHIN:
        return bad(f"it runs out on {ends}", "renew it, and restart the workers one after the other")
    return good(f"valid until {ends}")


def _no_password() -> str:
    """Asked for when a key is encrypted: nobody is there to type it."""
    raise ValueError("the key has a password")
