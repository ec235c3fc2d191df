"""A half-open span of time, [since, until)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from muninn.errors import Invalid


@dataclass(frozen=True, order=True)
class Window:
    """[since_us, until_us), microseconds since the epoch."""

    since_us: int
    until_us: int

    def __post_init__(self) -> None:
        if self.until_us < self.since_us:
            raise Invalid("a window must not end before it starts", "until")

    @property
    def length_us(self) -> int:
        """Microseconds from start to end."""
        return self.until_us - self.since_us

    @property
    def since(self) -> datetime:
        """The start as an aware datetime."""
        return as_datetime(self.since_us)

    @property
    def until(self) -> datetime:
        """The end as an aware datetime."""
        return as_datetime(self.until_us)

    def aligned(self, width_us: int) -> "Window":
        """The smallest window of whole buckets of `width_us` that holds this one."""
        return Window(self.since_us // width_us * width_us, -(-self.until_us // width_us) * width_us)


def as_datetime(at_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)


def as_us(at: datetime) -> int:
    """An aware datetime as microseconds since the epoch, exactly."""
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
