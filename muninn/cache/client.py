"""The Redis client: one factory, and one place where its errors become ours.

Belongs here: connecting, time-outs, error translation. Does not: keys and their meaning.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from muninn.errors import Misconfigured, Unavailable
from muninn.settings import without_password


def connect(url: str, *, timeout_s: float = 2.0, max_connections: int = 16) -> "redis.Redis":
    """A client for redis://, rediss:// or unix:// that reconnects by itself; nothing is sent yet.

    timeout_s bounds connecting, each answer, and the wait for one of `max_connections`.
    Misconfigured names the setting when the URL is not one.
    """
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # One more try on a new connection: the pooled one may belong to a server that has restarted since.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise Misconfigured(
            f"MUNINN_REDIS_URL is {without_password(url)!r}: it must start with redis://, rediss:// or unix://"
        ) from error
    return redis.Redis.from_pool(pool)


@contextmanager
def translated() -> Iterator[None]:
    """Whatever keeps Redis from answering leaves as Unavailable."""
    try:
        yield
    except redis.RedisError as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
