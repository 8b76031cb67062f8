"""Each engine of a cluster, asked. What is wrong is raised: Unfit, StorageAway."""

from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from caas.checks.model import Found, bad, doubtful, good, skipped
from caas.config import Config
from storage.cluster.backend import Engines
from storage.cluster.fitting import look_over
from storage.cluster.kafka import see_brokers
from storage.cluster.mongo import make_client as make_mongo
from storage.cluster.mongo_errors import of_read
from storage.cluster.redis import make_client as make_redis
from storage.cluster.registry import Registry
from storage.ports.errors import StorageAway


def kafka(config: Config, engines: Engines) -> Found:
    """The brokers let us in, and there are as many as the log needs."""
    count = see_brokers(engines.kafka)
    how = engines.kafka.properties["security.protocol"]
    if count < config.kafka_replicas:
        return bad(f"{count} of {config.kafka_replicas} brokers are there", "start the others")
    if config.kafka_replicas < 3:
        return doubtful(f"{count} brokers, {config.kafka_replicas} of which have the log ({how})",
                        "serve with three: what was acknowledged is lost with a disk")
    return good(f"{count} brokers ({how})")


def mongodb(config: Config, engines: Engines) -> Found:
    """It lets us in, and is a replica set that keeps what it has acknowledged."""
    try:
        with make_mongo(engines.mongo) as client, client.start_session() as session:
            look_over(client[engines.database], session)
            client[engines.database].list_collection_names(session=session)
            return good(f"a replica set, primary {':'.join(map(str, client.address or ()))}{' by TLS' if 'tls=true' in engines.mongo else ''}")
    except PyMongoError as error:
        raise of_read(error) from error


def redis(config: Config, engines: Engines) -> Found:
    """It lets us in."""
    try:
        with make_redis(engines.redis) as client:
            client.ping()
    except (RedisError, OSError) as error:
        raise StorageAway(f"Redis cannot be reached: {error}") from error
    return good(f"it answers{' by TLS' if engines.redis.startswith('rediss') else ''}")


def registry(config: Config, engines: Engines) -> Found:
    """Where one is named: it answers."""
    if not config.registry:
        return skipped("none is named")
    status, _ = Registry(config.registry).ask("GET", "/subjects", None)
    return good("it answers") if status == 200 else bad(f"it answers with {status}", "see whether its URL has the right path, user and password")
