"""Regular expressions that people and programs send: RE2, whose time is linear in the text, over the whole text.

Belongs here: checking a pattern, matching, rewriting by its groups. Does not: what is matched with what.

Python's own `re` may take hours over a pattern such as (a+)+. RE2 never does; but it writes counted repetitions out,
so that a short pattern can be a long one: a{0,1000} fifty times is 5 s a text. How long it gets is bounded here.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from muninn.errors import Invalid

MAX_CHARS = 500
# Parts of a pattern once its repetitions are written out; as many as RE2 lets one repetition count.
MAX_PARTS = 1_000
_MAX_KEPT = 65_536
# The dearest pattern takes 1.5 us a character: a tenth of a second between two looks at the clock.
_TURN_CHARS = 65_536
# One part of a pattern as RE2 reads it; an open class or quotation goes on to the end.
_PART = re.compile(
    r"""\\Q(?P<quoted>.*?)(?:\\E|\Z)
      | (?P<opened>\()(?:\?P?<\w+>|\?[imsU-]*:?)?
      | (?P<closed>\))
      | (?P<counted>\{(?P<least>\d+)(?P<open>,(?P<most>\d*))?\})
      | (?P<nothing>[*+?|^$])
      | \\(?:[pPx]\{[^}]*\}|x..|.)                                            # \pN is one part and a letter
      | \[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]])*\]?
      | .""",
    re.VERBOSE | re.DOTALL,
)


def check(pattern: str) -> None:
    """Invalid where it is no pattern, or one that would take too long."""
    if len(pattern) > MAX_CHARS:
        raise Invalid(f"a pattern has at most {MAX_CHARS} characters")
    parts = _written_out(pattern)
    if parts > MAX_PARTS:
        raise Invalid(
            f"{pattern!r} is too long once its repetitions {{n,m}} are written out: {parts} parts, "
            f"at most {MAX_PARTS}; count to less, or use * or +"
        )
    try:
        _found(pattern, "")  # by itself, so that no bracket of it closes that of `matches`
        matches(pattern, "")
    except ValueError as error:  # which ArrowInvalid and UnicodeEncodeError are
        what = str(error).removeprefix("Invalid regular expression: ")
        raise Invalid(f"{pattern!r} is no regular expression (RE2): {what}") from None


class Budget:
    """How long all matching of one request may take together."""

    def __init__(self, limit_s: float, monotonic: Callable[[], float] = time.monotonic):
        self._limit_s, self._monotonic = limit_s, monotonic
        self._ends = monotonic() + limit_s

    def check(self) -> None:
        """Invalid once it is spent."""
        if self._monotonic() > self._ends:
            raise Invalid(f"the patterns take more than {self._limit_s:g} s: give simpler ones, or fewer at once")


# (pattern, text) -> whether it matches. One pattern is asked about the same few texts again and again.
_kept: dict[tuple[str, str], bool] = {}


def matches(pattern: str, text: str) -> bool:
    """Whether a checked pattern matches the whole text."""
    known = _kept.get((pattern, text))
    return matching(pattern, (text,))[text] if known is None else known


def matching(pattern: str, texts: Iterable[str], budget: Budget | None = None) -> dict[str, bool]:
    """Whether a checked pattern matches the whole of each text, each looked at once; Invalid beyond the budget.

    Many together cost a fiftieth of one by one: RE2 makes its automaton once.
    """
    found = {text: _kept.get((pattern, text)) for text in texts}
    for some in _turns([text for text, known in found.items() if known is None]):
        if budget is not None:
            budget.check()
        found |= zip(some, _all_found(_whole(pattern), some), strict=True)
        if len(_kept) + len(some) > _MAX_KEPT:
            _kept.clear()
        _kept.update({(pattern, text): bool(found[text]) for text in some})
    return {text: bool(known) for text, known in found.items()}


def _turns(texts: Sequence[str]) -> Iterator[list[str]]:
    some, chars = [], 0
    for text in texts:
        some.append(text)
        chars += len(text) + 1
        if chars >= _TURN_CHARS:
            yield some
            some, chars = [], 0
    if some:
        yield some


def rewritten(pattern: str, text: str, to: str) -> str | None:
    r"""`to` with its \0 to \9 filled in from what the pattern's groups matched; None where it does not match."""
    return _replaced(pattern, text, to) if matches(pattern, text) else None


def check_rewrite(pattern: str, to: str) -> None:
    r"""Invalid where `to` names a group that the pattern does not have, or has a backslash for something else."""
    try:
        _replaced(pattern, "", to)
    except ValueError as error:
        what = str(error).removeprefix("Invalid replacement string: ")
        raise Invalid(f"{to!r} does not go with {pattern!r}: {what}") from None


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"


def _found(pattern: str, text: str) -> bool:
    return _all_found(pattern, (text,))[0]


def _all_found(pattern: str, texts: Sequence[str]) -> list[bool]:
    """Whether the pattern matches part of each text."""
    # Here, because most of those who load rules never match a pattern: a Dagster run costs what it imports.
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.match_substring_regex(pa.array(map(_readable, texts), pa.string()), pattern=pattern)
    return [bool(each) for each in found.to_pylist()]


def _replaced(pattern: str, text: str, to: str) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.replace_substring_regex(pa.scalar(_readable(text)), pattern=_whole(pattern), replacement=to)
    return str(found.as_py())


def _readable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _written_out(pattern: str) -> int:
    """How many parts a pattern has once its counted repetitions are written out, as RE2 does."""
    # Per open bracket: parts so far, and those of the last one, which a repetition is about.
    open_: list[list[int]] = [[0, 0]]
    for part in _PART.finditer(pattern):
        if part["opened"]:
            open_.append([0, 0])
        elif part["closed"]:
            if len(open_) > 1:
                inner = sum(open_.pop())
                open_[-1] = [sum(open_[-1]), inner]
        elif part["counted"]:
            open_[-1][1] *= _most(part)
        elif part["quoted"] is not None:
            open_[-1] = [sum(open_[-1]) + max(0, len(part["quoted"]) - 1), 1]
        elif not part["nothing"]:
            open_[-1] = [sum(open_[-1]), 1]
    return sum(map(sum, open_))


def _most(part: "re.Match[str]") -> int:
    """{n}, {n,m}: the larger; {n,}: one more than n."""
    least = int(part["least"])
    return max(1, least, int(part["most"])) if part["most"] else max(1, least + bool(part["open"]))
