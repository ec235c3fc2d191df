"""A small picture of episodes: a line each, time from left to right, as SVG.

Belongs here: drawing. Does not: which episodes.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from muninn.alerting.alert import Alert
from muninn.alerting.templates import labels_text
from muninn.model import Window
from muninn.model.window import as_datetime

COLOURS = {"info": "#1565c0", "warning": "#ef6c00", "critical": "#c62828"}
_NAMES, _WIDTH, _ROW, _TOP = 260, 900, 22, 26
_MAX_ROWS = 60


def svg(alerts: Sequence[Alert], window: Window) -> str:
    """One row an instance, oldest first; at most 60."""
    rows: dict[str, list[Alert]] = {}
    for alert in alerts:
        rows.setdefault(f"{alert.rule} {labels_text(dict(alert.labels))}", []).append(alert)
    shown = list(rows.items())[:_MAX_ROWS]
    height = _TOP + _ROW * max(1, len(shown)) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_NAMES + _WIDTH + 10} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<text x="6" y="16" fill="#888">{len(alerts)} alerts, {len(rows)} instances</text>',
    ]
    for number, (name, episodes) in enumerate(shown):
        y = _TOP + number * _ROW
        parts.append(f'<text x="6" y="{y + 14}" fill="#888">{escape(name[:42])}</text>')
        parts.append(f'<line x1="{_NAMES}" x2="{_NAMES + _WIDTH}" y1="{y + 10}" y2="{y + 10}" stroke="#8886"/>')
        parts += [_bar(alert, window, y) for alert in episodes]
    if not shown:
        parts.append(f'<text x="{_NAMES}" y="{_TOP + 14}" fill="#4caf50">nothing would have fired</text>')
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = as_datetime(window.since_us + round(window.length_us * share))
        x = _NAMES + _WIDTH * share
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="{anchor}" fill="#888">{at:%m-%d %H:%M} UTC</text>')
    return "\n".join([*parts, "</svg>\n"])


def _bar(alert: Alert, window: Window, y: int) -> str:
    since = max(alert.fired_us or alert.started_us, window.since_us)
    until = min(alert.resolved_us or window.until_us, window.until_us)
    x = _NAMES + (since - window.since_us) / window.length_us * _WIDTH
    width = max(3.0, (until - since) / window.length_us * _WIDTH)
    colour = COLOURS.get(alert.severity, "#777")
    title = escape(f"{alert.severity}: {alert.summary}")
    return (
        f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="14" fill="{colour}"><title>{title}</title></rect>'
    )
