"""Figures as sentences have them.

Belongs here: digits, prefixes, units. Does not: sentences (their questions), the pages' own formats.
"""

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def figure(value: float, unit: str) -> str:
    """Three significant digits with a decimal prefix and the unit: 12.3 kB/s; percentages stay as they are."""
    power = 0
    if unit != "%":
        while abs(value) >= 999.5 and power < len(_PREFIXES) - 1:
            value, power = value / 1000, power + 1
    digits = f"{value:.3g}"
    if "e" in digits and abs(value) >= 1:
        digits = f"{value:.0f}"
    return f"{digits} {_PREFIXES[power]}{unit}".rstrip()
