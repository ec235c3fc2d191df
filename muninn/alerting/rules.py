"""What a rule is: which series, which figure of them, from which level on for how long it is an alert.

Belongs here: rules as checked values. Does not: reading files (book), evaluating (evaluate).
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from muninn.alerting.matchers import Matchers
from muninn.alerting.spans import Amount, Seconds
from muninn.errors import Invalid

Kind = Literal["threshold", "rate", "absence", "anomaly", "incident", "regression", "slo"]
Severity = Literal["info", "warning", "critical"]
NoData = Literal["ok", "keep", "alert", "ignore"]
Over = Literal["last", "mean", "min", "max", "sum", "count"]
Across = Literal["mean", "min", "max", "sum"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
# Windows up to this long are kept in memory, as samples come; longer ones are asked of the store.
MEMORY_S = 900.0
LONG_KINDS = ("regression", "slo")
# {{ host }}; a dollar before it is Prometheus's way of saying the same.
PLACE = re.compile(r"\{\{\s*\$?([\w.\-]+)\s*\}\}")


class Part(BaseModel):
    """Frozen; a field that is not known is an error, so that a misspelt one is not passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=True)


def _match(given: object) -> dict[str, str | list[str]]:
    if not isinstance(given, Mapping):
        raise ValueError('a match is a mapping such as {host: web1, env: "!=test"}')
    try:
        return Matchers.of(given).as_mapping()
    except Invalid as error:
        raise ValueError(str(error)) from None


def _template(given: str) -> str:
    left = PLACE.sub("", given)
    if "{{" in left:
        raise ValueError(
            f"{left[left.index('{{') :][:40]!r}: a place holds a name, as in {{{{ value }}}} or {{{{ labels.host }}}};"
            " functions are not known"
        )
    return given


Template = Annotated[str, AfterValidator(_template)]
Match = Annotated[dict[str, str | list[str]], BeforeValidator(_match)]


class Level(Part):
    """One severity. above or below: the limit. recover: it ends only beyond this. hold_s: true for so long.

    SLO: `burn` is the limit, in multiples of the rate that spends the budget exactly; both windows must burn.
    """

    severity: Severity
    above: Amount | None = None
    below: Amount | None = None
    recover: Amount | None = None
    hold_s: Seconds = Field(0.0, alias="for")
    burn: float | None = Field(None, gt=0)
    long_s: Seconds | None = Field(None, alias="long")
    short_s: Seconds | None = Field(None, alias="short")

    @model_validator(mode="after")
    def _one_limit(self) -> "Level":
        if sum(each is not None for each in (self.above, self.below, self.burn)) != 1:
            raise ValueError("give exactly one of above, below and (for kind slo) burn")
        if self.recover is not None and (self.recover - self.limit) * self.sign > 0:
            raise ValueError("recover must lie on the good side of the limit, or the alert would end while it is bad")
        if self.burn is not None and not (self.long_s and self.short_s and self.short_s < self.long_s):
            raise ValueError("burn needs `long` and a shorter `short`")
        return self

    @property
    def sign(self) -> float:
        """1 where more is worse, -1 where less is."""
        return -1.0 if self.below is not None else 1.0

    @property
    def limit(self) -> float:
        """From here on it is bad."""
        given = next(each for each in (self.above, self.below, self.burn) if each is not None)
        return float(given)

    @property
    def recovery(self) -> float:
        """Up to here it stays bad once it was."""
        return self.limit if self.recover is None else self.recover


class Baseline(Part):
    """What a regression compares with: the same span, `ago` before; `percent` or absolute `difference`."""

    ago_s: Seconds = Field(604_800.0, alias="ago")
    unit: Literal["percent", "difference"] = "percent"


class Objective(Part):
    """What an SLO promises: `target` percent good. bad, total: matchers of counters of the rule's metric family."""

    target: float = Field(gt=0, lt=100)
    bad_metric: str = ""
    bad: Match = {}
    total_metric: str = ""
    total: Match = {}


class Flapping(Part):
    """An alert that came or went `changes` times `within` flaps: then it must be good for `hold` before it ends."""

    changes: int = Field(4, ge=2)
    within_s: Seconds = Field(3600.0, alias="within")
    hold_s: Seconds = Field(900.0, alias="hold")


class Rule(Part):
    """One rule. Spans are in seconds; see docs/alerting.md for every field."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,79}$")
    kind: Kind = "threshold"
    metric: str = Field("", max_length=200)
    match: Match = {}
    by: tuple[str, ...] = ()
    across: Across = "mean"
    over: Over = "last"
    window_s: Seconds = Field(60.0, alias="window", gt=0)
    levels: tuple[Level, ...] = Field(min_length=1)
    min_points: int = Field(1, ge=1)
    delay_s: Seconds = Field(0.0, alias="delay")
    grace_s: Seconds = Field(0.0, alias="grace")
    no_data: NoData = "keep"
    no_data_after_s: Seconds = Field(300.0, alias="no_data_after", gt=0)
    forget_s: Seconds = Field(86_400.0, alias="forget", gt=0)
    recover_for_s: Seconds = Field(0.0, alias="recover_for")
    flapping: Flapping = Flapping()
    baseline: Baseline = Baseline()
    objective: Objective | None = None
    labels: dict[str, str] = {}
    summary: Template = ""
    description: Template = ""
    runbook: str = ""
    enabled: bool = True

    @model_validator(mode="after")
    def _whole(self) -> "Rule":
        severities = [level.severity for level in self.levels]
        if len(set(severities)) < len(severities):
            raise ValueError("levels: each severity may be given once")
        if severities != sorted(severities, key=SEVERITIES.index):
            raise ValueError("levels: from the mildest to the most serious: info, warning, critical")
        if len({level.sign for level in self.levels}) > 1:
            raise ValueError("levels: all above, or all below")
        if self.kind not in LONG_KINDS and self.window_s + self.delay_s > MEMORY_S:
            raise ValueError(f"window: at most {MEMORY_S:.0f} s with its delay; kind regression looks further back")
        self._check_kind()
        return self

    def _check_kind(self) -> None:
        burns = [level.burn is not None for level in self.levels]
        if self.kind == "slo":
            if self.objective is None or not all(burns):
                raise ValueError("objective: kind slo needs an objective, and `burn` in every level")
            if not (self.objective.total_metric or self.metric):
                raise ValueError("metric: kind slo needs the counter of all requests")
        elif any(burns):
            raise ValueError("levels: `burn` is for kind slo")
        if self.kind == "incident":
            self._check_incident()
        elif self.kind != "slo" and not self.metric:
            raise ValueError("metric: which metric is it about?")
        if self.kind == "absence" and self.levels[0].above is None:
            raise ValueError("levels: kind absence has `above`: for how long nothing came")
        is_score = self.kind == "anomaly" or (self.kind == "incident" and self.over == "last")
        if is_score and not all(0 < level.limit < 1 for level in self.levels):
            raise ValueError("levels: a score is from 0 to 1; 0.6 is a warning, 0.8 an anomaly")

    def _check_incident(self) -> None:
        if self.metric or self.by:
            raise ValueError("metric: kind incident has neither metric nor by; `match` looks at the head's labels")
        if self.over not in ("last", "count"):
            raise ValueError("over: of an incident `last` is its score, `count` the number of its series")
        if any(level.above is None for level in self.levels):
            raise ValueError("levels: kind incident has `above`: a score, or a number of series")

    @cached_property
    def matchers(self) -> Matchers:
        """Which series of the metric it is about."""
        return Matchers.of(self.match)

    @cached_property
    def added(self) -> dict[str, str]:
        """Labels that its alerts carry besides those of their series: the metric too, where all are of one."""
        metric = self.metric or (self.objective.total_metric if self.objective is not None else "")
        return self.labels if metric in ("", "*") else {"metric": metric, **self.labels}

    @property
    def is_long(self) -> bool:
        """Whether its windows are asked of the store."""
        return self.kind in LONG_KINDS

    @property
    def reach_s(self) -> float:
        """How far back it looks."""
        if self.kind == "regression":
            return self.baseline.ago_s + self.window_s
        if self.kind == "slo":
            return max(level.long_s or 0.0 for level in self.levels)
        return self.window_s + self.delay_s

    def plain(self) -> dict[str, Any]:
        """The rule as a rules file has it, without what is left at its default."""
        return self.model_dump(by_alias=True, exclude_defaults=True, mode="json")
