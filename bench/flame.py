"""A flame-like picture as SVG: time from left to right, parts below their whole.

Belongs here: drawing. Does not: measuring.
"""

from html import escape

# name -> (size, the parts' sizes by name)
Tree = dict[str, tuple[float, dict[str, float]]]
WIDTH, ROW, LEFT, GAP = 1000, 34, 10, 1.5
COLOURS = ("#b35806", "#e08214", "#fdb863", "#8073ac", "#542788", "#5aae61")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#111}.note{fill:#666}@media (prefers-color-scheme:dark){.note{fill:#aaa}}"
)


def draw(tree: Tree) -> str:
    """The picture; what is too narrow for its name shows it on hovering."""
    total = sum(size for size, _ in tree.values())
    scale = (WIDTH - 2 * LEFT) / total
    parts = [_box("all", total, total, LEFT, 0, scale, "#bbbbbb")]
    at = float(LEFT)
    for (name, (size, inner)), colour in zip(tree.items(), COLOURS * 9, strict=False):
        parts.append(_box(name, size, total, at, 1, scale, colour))
        place = at
        for stage, part in sorted(inner.items(), key=lambda item: -item[1]):
            if part > 0:
                parts.append(_box(stage, part, total, place, 2, scale, colour, 0.55))
                place += part * scale
        at += size * scale
    height = 3 * ROW + 34
    axis = (
        f'<text class="note" x="{LEFT}" y="{3 * ROW + 22}">CPU seconds per million samples, {total:.2f} in all</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="CPU seconds per million samples by program and stage"><style>{STYLE}</style>'
        + "".join(parts)
        + axis
        + "</svg>\n"
    )


def _box(
    name: str, size: float, total: float, at: float, level: int, scale: float, colour: str, opacity: float = 0.85
) -> str:
    width = max(0.5, size * scale - GAP)
    label = f"{name} {size:.2f}"
    text = ""
    if width > 7.2 * len(label):
        text = f'<text x="{at + 5:.1f}" y="{level * ROW + 21}">{escape(label)}</text>'
    return (
        f"<g><title>{escape(name)}: {size:.3f} s ({size / total:.1%})</title>"
        f'<rect x="{at:.1f}" y="{level * ROW}" width="{width:.1f}" height="{ROW - 2}" rx="2" '
        f'fill="{colour}" fill-opacity="{opacity}"/>{text}</g>'
    )
