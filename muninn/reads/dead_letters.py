"""What could not be stored, and why: the dead letters of the buffer, for people.

Belongs here: letters as values, their samples named as far as can be. Does not: the buffer, sending again (run).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from muninn.errors import Invalid
from muninn.ingest.buffer.codec import Decoder
from muninn.ingest.buffer.contract import DeadLetter
from muninn.model import SampleBatch


@dataclass(frozen=True)
class DeadLetterInfo:
    """One dead letter. samples, series: None where its payload was not kept, or cannot be read."""

    letter_id: str
    at_ms: int
    reason: str
    entry_id: str
    bytes: int
    samples: int | None
    series: int | None


@dataclass(frozen=True)
class DeadLetters:
    """How many there are, and the newest of them."""

    count: int
    newest: tuple[DeadLetterInfo, ...]


NO_LETTERS = DeadLetters(0, ())


def told(letters: Sequence[DeadLetter]) -> tuple[DeadLetterInfo, ...]:
    """The letters as values."""
    return tuple(_info(letter) for letter in letters)


def samples_of(letter: DeadLetter) -> SampleBatch | None:
    """The samples of a letter; None where they were not kept or cannot be read."""
    if not letter.fields:
        return None
    try:
        return Decoder().decode(letter.fields)
    except Invalid:
        return None


def _info(letter: DeadLetter) -> DeadLetterInfo:
    batch = samples_of(letter)
    return DeadLetterInfo(
        letter.letter_id,
        letter.at_us // 1000,
        letter.reason,
        letter.entry_id,
        sum(len(name) + len(value) for name, value in letter.fields.items()),
        None if batch is None else len(batch),
        None if batch is None else len(batch.keys),
    )
