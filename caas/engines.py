"""How the engines are spoken to: addresses as they are configured, with what TLS and a user need besides."""

from pathlib import Path
from urllib.parse import quote

from caas.config import Config
from storage.failing import Unfit


def kafka_properties(config: Config) -> dict[str, str]:
    """Settings of librdkafka: of TLS and of the user, and what `kafka_properties` adds or changes. Raises Unfit."""
    if bool(config.kafka_user) != bool(config.kafka_password):
        raise Unfit("CAAS_KAFKA_USER and CAAS_KAFKA_PASSWORD go together: set both, or none")
    found = {"security.protocol": ("SASL_" if config.kafka_user else "") + ("SSL" if config.kafka_tls else "PLAINTEXT")}
    if config.kafka_user:
        found |= {"sasl.mechanism": config.kafka_mechanism, "sasl.username": config.kafka_user, "sasl.password": config.kafka_password}
    if config.kafka_tls and config.engines_ca:
        found["ssl.ca.location"] = _file("engines_ca", config.engines_ca)
    if config.kafka_tls and config.engines_certificate:
        path = _file("engines_certificate", config.engines_certificate)
        found |= {"ssl.certificate.location": path, "ssl.key.location": path}
    return found | properties_of(config.kafka_properties)


def mongo_uri(config: Config) -> str:
    """With the authority and our certificate, where it speaks TLS and does not name its own. Raises Unfit."""
    lower = config.mongo.lower()
    if not (lower.startswith("mongodb+srv://") or "tls=true" in lower or "ssl=true" in lower):
        return config.mongo
    return _with(config.mongo, {"tlsCAFile": _file("engines_ca", config.engines_ca),
                                "tlsCertificateKeyFile": _file("engines_certificate", config.engines_certificate)})


def redis_url(config: Config) -> str:
    """The same. Raises Unfit."""
    if not config.redis.lower().startswith("rediss://"):
        return config.redis
    own = _file("engines_certificate", config.engines_certificate)
    return _with(config.redis, {"ssl_ca_certs": _file("engines_ca", config.engines_ca), "ssl_certfile": own, "ssl_keyfile": own})


def properties_of(path: str) -> dict[str, str]:
    """Further settings of librdkafka, from a file. Raises Unfit."""
    if not path:
        return {}
    lines = [line.strip() for line in Path(_file("kafka_properties", path)).read_text().splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _with(address: str, more: dict[str, str]) -> str:
    asked = {name: value for name, value in more.items() if value and f"{name.lower()}=" not in address.lower()}
    sign = "&" if "?" in address else "?"
    return address + "".join(f"{sign if not number else '&'}{name}={quote(value, safe='')}" for number, (name, value) in enumerate(asked.items()))


def _file(setting: str, path: str) -> str:
    """The path, of a file that can be read. Raises Unfit."""
    try:
        if path:
            Path(path).read_bytes()
    except OSError as error:
        raise Unfit(f"CAAS_{setting.upper()}={path}: it cannot be read: {error.strerror}") from error
    return path
