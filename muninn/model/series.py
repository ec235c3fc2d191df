"""Who a sample belongs to: metric, labels, source agent and instance."""

import hashlib
import uuid
from dataclasses import dataclass
from functools import cached_property

import orjson

from muninn.errors import Invalid


@dataclass(frozen=True)
class SeriesKey:
    """The identity of one series; `labels` are (name, value) pairs sorted by name."""

    metric: str
    labels: tuple[tuple[str, str], ...] = ()
    source_agent_id: str = ""
    instance_id: str = ""

    @classmethod
    def of(
        cls, metric: str, labels: dict[str, str] | None = None, source_agent_id: str = "", instance_id: str = ""
    ) -> "SeriesKey":
        """The key with its labels in order."""
        return cls(metric, tuple(sorted((labels or {}).items())), source_agent_id, instance_id)

    @cached_property
    def canonical(self) -> bytes:
        """One byte string per identity: JSON `[metric, {labels sorted}, agent, instance]`."""
        found = orjson.dumps([self.metric, dict(self.labels), self.source_agent_id, self.instance_id])
        return bytes(memoryview(found))  # orjson's own keeps the 4 KiB that it was written into

    def __hash__(self) -> int:
        """That of `canonical`, which bytes remember: keys are looked up far more often than made."""
        return hash(self.canonical)

    @cached_property
    def digest(self) -> bytes:
        """128 bits of BLAKE2b over `canonical`: stands for the series wherever its text would be too long."""
        return digest_of(self.canonical)

    @property
    def fingerprint(self) -> uuid.UUID:
        """`digest` as the `series` table is unique by it."""
        return uuid.UUID(bytes=self.digest)

    @classmethod
    def parse(cls, canonical: bytes) -> "SeriesKey":
        """The inverse of `canonical`; Invalid if it is not one."""
        try:
            metric, labels, agent, instance = orjson.loads(canonical)
            return cls(metric, tuple(sorted(labels.items())), agent, instance)
        except (ValueError, TypeError, AttributeError) as error:
            raise Invalid(f"not a series key: {canonical[:80]!r}") from error


def digest_of(canonical: bytes) -> bytes:
    """16 bytes that stand for a canonical form."""
    return hashlib.blake2b(canonical, digest_size=16).digest()
