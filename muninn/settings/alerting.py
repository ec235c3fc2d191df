"""Alerts: where rules are, how often they are judged."""

from pathlib import Path

from pydantic import Field

from muninn.settings.section import Section


class Alerting(Section):
    """The alerter."""

    enabled: bool = Field(True, description="judge alert rules under `muninn up`")
    rules: Path | None = Field(None, description="folder of rules files (*.yaml); empty: HOME/rules")
    shipped: bool = Field(True, description="use the rules that come with Muninn; one's own of the same name win")
    evaluate_s: float = Field(5.0, ge=0.5, le=300, description="seconds between two judgements of all rules")
    lease_s: float = Field(
        6.0, ge=2, le=300, description="of several alerters, another one takes over when the leader was silent so long"
    )
    max_series: int = Field(20_000, ge=1, description="series that rules together may look at; 10 KB each")
    page_url: str = Field("", description="address of the Alerts page, put into notifications")
    keep_days: int = Field(400, ge=1, description="alerts that are over and the notify log are kept this long")
    keep_scores_days: int = Field(
        60, ge=1, description="the detector's scores are kept this long, to run rules on scores over the past"
    )
