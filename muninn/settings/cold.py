"""The cold tier: closed days as Parquet files."""

from pathlib import Path

from pydantic import Field

from muninn.settings.section import Section


class Cold(Section):
    """Closed days as Parquet files: docs/decisions/0006-cold-tier.md."""

    enabled: bool = Field(True, description="closed days are exported to Parquet files every night")
    folder: Path | None = Field(None, description="where the files lie; empty: HOME/cold")
    after_hours: int = Field(
        24, ge=0, description="a day is exported this long after its end, when few late samples still come"
    )
    hot_days: int | None = Field(
        None,
        ge=1,
        description="raw samples stay in the database for this long, then in the files only;"
        " empty: 7, and on TimescaleDB as long as MUNINN_STORE_RAW_DAYS",
    )

    def hot_days_on(self, engine: str, raw_days: int) -> int:
        """For how many days raw samples stay in a database of this engine."""
        if not self.enabled:
            return raw_days
        return min(raw_days, self.hot_days or (raw_days if engine == "timescaledb" else 7))
