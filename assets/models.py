"""Group models: what detection has learned of whole places, trained and judged day by day.

Belongs here: which days, what is recorded with a model. Does not: training and the comparison (muninn.detection).
"""

import base64
from collections.abc import Iterator, Sequence

import dagster as dg
import numpy as np

from assets.partitions import DAILY, window_of
from assets.raw import raw_samples
from assets.resources import MuninnResource
from muninn.clock import DAY_US
from muninn.detection.features import MODELLED
from muninn.detection.forest import Model
from muninn.detection.places import FeatureRows
from muninn.detection.training import Figures, evaluate, in_peace, may_replace, train
from muninn.errors import Invalid
from muninn.model import Window
from muninn.store import models

GROUP = "models"
TRAINED_DAYS = 14
KEPT_DAYS = 60
# The last share of the days is kept from training, and judges it.
_JUDGED_SHARE = 0.25
_BARS = 40


@dg.asset(
    partitions_def=DAILY,
    group_name=GROUP,
    kinds={"scikitlearn", "postgres"},
    deps=[dg.AssetDep(raw_samples.key, partition_mapping=dg.TimeWindowPartitionMapping())],
    output_required=False,
    description="The multivariate model of all places, from the 14 days that end with this one. It is used from then"
    " on if it is not worse than the one in use on days that neither was trained on. The minutes of incidents are left"
    " out.",
)
def place_model(context: dg.AssetExecutionContext, muninn: MuninnResource) -> Iterator[dg.MaterializeResult[None]]:
    """Train, judge beside the model in use, promote if it is not worse; nothing where there is too little data."""
    day = window_of(context.partition_time_window)
    data = Window(day.until_us - TRAINED_DAYS * DAY_US, day.until_us)
    with muninn.database() as database:
        rows = in_peace(models.features(database, data), models.alarms(database, data))
        judged_from = len(rows) - round(_JUDGED_SHARE * len(rows))
        try:
            model = train(rows[:judged_from], MODELLED)
        except Invalid as error:
            context.log.info("no model of this day: %s", error)
            return
        new = evaluate(model, rows[judged_from:], MODELLED)
        used = models.in_use(database)
        old = None if used is None else evaluate(Model.from_bytes(used[1]), rows[judged_from:], MODELLED)
        promoted, reason = may_replace(new, old)
        model_id = models.save(database, model.to_bytes(), data, new.as_dict(), reason)
        if promoted:
            models.promote(database, model_id, reason)
        models.prune(database, day.until_us - KEPT_DAYS * DAY_US)
    yield dg.MaterializeResult(
        metadata={
            "model_id": model_id,
            "promoted": promoted,
            "reason": reason,
            "columns": ", ".join(model.columns),
            "trained_rows": sum(map(len, rows[:judged_from])),
            **_figures(new),
            "scores": _plot(model, rows[judged_from:]),
        }
    )


@dg.asset(
    partitions_def=DAILY,
    group_name=GROUP,
    kinds={"postgres"},
    deps=[place_model],
    output_required=False,
    description="How the model in use did on this day: false alarms by the row, and the share of made faults found.",
)
def place_model_evaluation(
    context: dg.AssetExecutionContext, muninn: MuninnResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Judge the model in use on one day; nothing where there is no model, or no row."""
    with muninn.database() as database:
        used = models.in_use(database)
        rows = models.features(database, window_of(context.partition_time_window))
    if used is None or not rows:
        context.log.info("nothing to judge: no model in use, or no features of this day")
        return
    model = Model.from_bytes(used[1])
    figures = _figures(evaluate(model, rows, MODELLED))
    yield dg.MaterializeResult(metadata={"model_id": used[0], **figures, "scores": _plot(model, rows)})


def _figures(found: Figures) -> dict[str, dg.IntMetadataValue | dg.FloatMetadataValue]:
    return {
        "rows": dg.MetadataValue.int(found.rows),
        "places": dg.MetadataValue.int(found.places),
        "false_alarm_share": dg.MetadataValue.float(found.false_share),
        "made_faults_found_share": dg.MetadataValue.float(found.found_share),
    }


def _plot(model: Model, rows: Sequence[FeatureRows]) -> dg.MetadataValue[str]:
    """How often each raw score came, as a picture; the line is where scores begin."""
    raw = np.concatenate([model.raw(model.measured(each, MODELLED)[1]) for each in rows] or [np.zeros(0)])
    if not len(raw):
        return dg.MetadataValue.md("no rows")
    counts, edges = np.histogram(raw, _BARS, (0.0, max(float(raw.max()), model.far * 1.2)))
    height = np.log1p(counts) / max(1e-9, np.log1p(counts.max())) * 120
    bars = "".join(
        f'<rect x="{40 + 12 * place}" y="{140 - tall:.1f}" width="10" height="{tall:.1f}" fill="#2a78d6"/>'
        for place, tall in enumerate(height.tolist())
    )
    line = 40 + 12 * _BARS * model.far / float(edges[-1])
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="175" font-family="sans-serif" font-size="11">'
        f'<rect width="560" height="175" fill="#fff"/>{bars}<line x1="{line:.0f}" x2="{line:.0f}" y1="10" y2="140"'
        f' stroke="#eb6834" stroke-width="2"/><text x="40" y="158">0</text><text x="{line:.0f}" y="158">'
        f'{model.far:.2f}</text><text x="430" y="158">{edges[-1]:.2f}</text><text x="190" y="172">raw score</text>'
        f'<text x="4" y="90" transform="rotate(-90 12 90)">rows (log)</text></svg>'
    )
    return dg.MetadataValue.md(f"![scores](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")
