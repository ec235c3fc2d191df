"""Regular expressions that people and programs send: RE2, whose time is linear in the text, over the whole text.

Belongs here: checking a pattern, matching, rewriting by its groups. Does not: what is matched with what.

Python's own `re` may take hours over a pattern such as (a+)+. RE2 never does; but it writes counted repetitions out,
so that a short pattern can be a long one: a{0,1000} fifty times is 5 s a text. How long it gets is bounded here.
"""

import re
from functools import lru_cache

from muninn.errors import Invalid

MAX_CHARS = 500
# Parts of a pattern once its repetitions are written out; as many as RE2 lets one repetition count.
MAX_PARTS = 1_000
_KEPT_ANSWERS = 16_384
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


@lru_cache(_KEPT_ANSWERS)
def matches(pattern: str, text: str) -> bool:
    """Whether a checked pattern matches the whole text."""
    return _found(_whole(pattern), text)


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
    """Whether the pattern matches part of the text."""
    # Here, because most of those who load rules never match a pattern: a Dagster run costs what it imports.
    import pyarrow as pa
    import pyarrow.compute as pc

    return bool(pc.match_substring_regex(pa.scalar(_readable(text)), pattern=pattern).as_py())


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
