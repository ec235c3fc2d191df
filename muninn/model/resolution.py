"""The resolutions that rollups are kept at."""

from dataclasses import dataclass

from muninn.clock import DAY_US, HOUR_US, MINUTE_US


@dataclass(frozen=True)
class Resolution:
    """A bucket width; `name` is the suffix of `metrics_<name>`."""

    name: str
    width_us: int

    @property
    def view(self) -> str:
        """The view that people query."""
        return f"metrics_{self.name}"


RESOLUTIONS = (
    Resolution("1min", MINUTE_US),
    Resolution("5min", 5 * MINUTE_US),
    Resolution("1hour", HOUR_US),
    Resolution("1day", DAY_US),
)


def resolution_for(range_us: int) -> Resolution:
    """The resolution for a range: up to 6 h 1 min, 48 h 5 min, 60 d 1 hour, longer 1 day."""
    for limit_us, resolution in zip((6 * HOUR_US, 48 * HOUR_US, 60 * DAY_US), RESOLUTIONS, strict=False):
        if range_us <= limit_us:
            return resolution
    return RESOLUTIONS[-1]
