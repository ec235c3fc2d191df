"""The broker's connections to Valkey or Redis: scripts, errors of ours, and waiting until a write is on disk.

Belongs here: what every command shares. Does not: which commands.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from muninn.errors import Misconfigured, Rejected, Unavailable
from muninn.ingest.buffer.replicas import Replicas
from muninn.settings import without_password

log = logging.getLogger(__name__)

Durability = Literal["fsync", "memory"]

_MAX_CONNECTIONS = 64
# Answers of a server that is there and will be able to work later.
_PASSING = (
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
)
_PASSING_CODES = ("MISCONF", "NOREPLICAS", "BUSY ", "UNBLOCKED")


class Connection:
    """A pool that never sends a write twice: whether to try again is the caller's to know.

    replicas: how many of the server's must have a write, in memory, before it is answered.
    """

    def __init__(self, url: str, durability: Durability, timeout_s: float, replicas: int = 0):
        self._shown_url = without_password(url)
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                protocol=2,
                max_connections=_MAX_CONNECTIONS,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise Misconfigured(f"MUNINN_REDIS_URL is no Redis URL (redis://host:port/0): {self._shown_url}") from None
        self._client = redis.Redis.from_pool(pool)
        self._durability = durability
        self._waits: bool | None = None
        self._waitaof_ms = round(timeout_s * 500)
        self._replicas = Replicas(replicas, self._shown_url, self._waitaof_ms)
        self._warned = threading.Event()

    def ask(self, command: Callable[[redis.Redis], Any]) -> Any:
        """The answer to a command; a ResponseError that is the caller's own comes through."""
        with self._translated():
            return command(self._client)

    def run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The answer of a script."""
        with self._translated():
            return self._run(self._client, script, keys, args)

    def write(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The answer of a script that wrote, once what it wrote is as durable as the settings say."""
        with self._translated():
            must_wait = self._must_wait()
            if not must_wait and not self._replicas:
                return self._run(self._client, script, keys, args)
            self._replicas.require(self._client)
            # Both wait for the writes of their own connection.
            with redis.Redis(connection_pool=self._client.connection_pool, single_connection_client=True) as one:
                answer = self._run(one, script, keys, args)
                if must_wait:
                    self._wait_for_disk(one)
                if self._replicas:
                    self._replicas.wait(one)
        return answer

    def _wait_for_disk(self, one: redis.Redis) -> None:
        local, _ = _raw(one, "WAITAOF", 1, 0, self._waitaof_ms)
        if local < 1:
            raise Unavailable(
                f"Valkey at {self._shown_url} did not confirm within {self._waitaof_ms} ms that the batch is on disk: "
                "set its appendfsync to everysec or always, or MUNINN_BUFFER_DURABILITY=memory"
            )

    def close(self) -> None:
        """Close what is open; the next command opens again."""
        self._client.connection_pool.disconnect()

    def _run(self, client: redis.Redis, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return client.evalsha(digest, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            return client.eval(script, len(keys), *keys, *args)

    def _must_wait(self) -> bool:
        """Whether a write has to be waited for with WAITAOF; asked again after the server was away."""
        if self._durability == "memory":
            return False
        if self._waits is None:
            self._waits = self._probe()
        return self._waits

    def _probe(self) -> bool:
        info = self._client.info()
        if info.get("loading"):  # it does not tell yet whether it keeps a file
            raise redis.exceptions.BusyLoadingError("it is reading its data")
        if info.get("maxmemory") and str(info.get("maxmemory_policy")).startswith("allkeys"):
            self._warn("it evicts keys when its memory is full: set its maxmemory-policy to noeviction")
        if not info.get("aof_enabled"):
            self._warn("it keeps no append-only file, so a crash of it loses what is not in the store yet")
            return False
        policy = self._fsync_policy()
        if policy == "always":  # the answer itself comes after the fsync
            return False
        if policy == "no" or not _waitaof_holds(info):
            self._warn("a crash of its machine loses up to some seconds of batches: set its appendfsync to always")
            return False
        return True

    def _fsync_policy(self) -> str | None:
        """always, everysec or no; None where a managed server hides it."""
        try:
            return self._client.config_get("appendfsync").get("appendfsync")
        except redis.ResponseError:
            return None

    def _warn(self, what: str) -> None:
        if not self._warned.is_set():
            self._warned.set()
            log.warning("Valkey at %s cannot give MUNINN_BUFFER_DURABILITY=fsync: %s", self._shown_url, what)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except redis.exceptions.OutOfMemoryError as error:
            raise Rejected(f"Valkey at {self._shown_url} is out of memory: {error}", 5.0) from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._waits = None
            raise Unavailable(f"Valkey at {self._shown_url} is away: {error}") from error
        except redis.ResponseError as error:
            if not (isinstance(error, _PASSING) or str(error).startswith(_PASSING_CODES)):
                raise
            self._waits = None
            raise Unavailable(f"Valkey at {self._shown_url} cannot work now: {error}") from error


def _waitaof_holds(info: Mapping[str, Any]) -> bool:
    """Whether WAITAOF comes back only after the fsync.

    Not before Redis 8 (github.com/redis/redis/pull/13793), and not in Valkey as of 9.1: with appendfsync everysec it
    answers at once.
    """
    if info.get("server_name") == "valkey":
        return False
    major = str(info.get("redis_version", "0")).partition(".")[0]
    return major.isdigit() and int(major) >= 8


def _raw(client: redis.Redis, *command: Any) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]
