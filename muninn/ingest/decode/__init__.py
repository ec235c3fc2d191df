"""One file a wire format; each ends in the same columnar batch."""

from collections.abc import Callable

# Told what a decoder left out on purpose: (kind, how many).
Count = Callable[[str, int], None]
