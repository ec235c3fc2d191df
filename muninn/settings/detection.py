"""How the detector watches."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from muninn.settings.section import Section


class Detection(Section):
    """The detector: what is normal for each series, what is not, and incidents."""

    enabled: bool = Field(True, description="run the detector under `muninn up`")
    step_s: float = Field(10.0, ge=1, le=3600, description="seconds of samples that are judged together")
    settle_s: float = Field(2.0, ge=0, le=600, description="a step is judged this long after its end")
    max_series: int = Field(20_000, ge=1, description="series watched; further ones are left out, counted and told")
    ignore: str = Field(
        "muninn_*_peak_ms,muninn_detector_*,muninn_alert*,*uptime*,*_start_time_*",
        description="metric names that are not watched, comma-separated, with * and ?",
    )
    warm_up_s: float = Field(
        86_400.0, ge=60, description="a series says nothing for this long after its first sample: a day shows each hour"
    )
    calm_s: float = Field(300.0, ge=1, description="an episode is over after this long without a warning")
    save_s: float = Field(300.0, ge=1, description="seconds between two savings of what was learned")
    time_zone: str = Field(
        "UTC",
        description="IANA zone whose hours and weekdays are learned, summer time included: that of the people whose "
        "day the series follow (Europe/Berlin); after a change hours are learned anew",
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone; give one like Europe/Berlin or UTC") from None

    @property
    def ignored(self) -> tuple[str, ...]:
        """The patterns of `ignore`."""
        return tuple(pattern for text in self.ignore.split(",") if (pattern := text.strip()))
