"""Files straight into the store, at bulk speed: once, however often they are given.

Belongs here: a file's pieces as entries that the store knows once they are in. Does not: formats (ingest.files),
writing (store), terminals (commands).

A file is named by its content, and a piece of it by its number: the store writes a piece and its name in one
transaction, so that a file which is given again, or was half in when something died, adds only what is missing.
"""

import glob
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muninn.clock import Clock
from muninn.errors import Invalid
from muninn.ingest.files import read_samples
from muninn.ingest.validate import BadSample, Decoded, Rules
from muninn.model import BatchHandle, Window
from muninn.sources.files import kind_of
from muninn.store.database import Database
from muninn.store.writer import StoreWriter

# Called with the file at work and how many of its rows are done.
Progress = Callable[[Path, int], None]

# What a piece is follows from these: other numbers, and a file that was half in is compared row by row instead.
_PIECE_ROWS = 200_000
_LOAD_ROWS = 400_000
_MAX_ERRORS = 100


@dataclass
class Report:
    """What became of one file. rows: good ones, of which `new` were not in the store; refused: bad ones.

    skipped: rows of pieces that are in already. errors: the first of the refused, by their place in the file.
    """

    path: Path
    rows: int = 0
    new: int = 0
    skipped: int = 0
    refused: int = 0
    errors: list[BadSample] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    series: set[bytes] = field(default_factory=set)
    window: Window | None = None

    def see(self, decoded: Decoded) -> None:
        """Add what a piece holds."""
        batch = decoded.batch
        self.refused += decoded.rejected
        self.errors.extend(decoded.errors[: _MAX_ERRORS - len(self.errors)])
        self.rows += len(batch)
        self.metrics.update(key.metric for key in batch.keys)
        self.series.update(key.canonical for key in batch.keys)
        if len(batch):
            since_us, until_us = int(batch.at_us.min()), int(batch.at_us.max()) + 1
            known = self.window or Window(since_us, until_us)
            self.window = Window(min(since_us, known.since_us), max(until_us, known.until_us))


@dataclass(frozen=True)
class Importer:
    """Imports files; rules: which samples are taken. named: our column -> the files', where they differ."""

    database: Database
    clock: Clock
    rules: Rules
    named: Mapping[str, str]

    def look(self, path: Path, progress: Progress) -> Report:
        """What an import of the file would do; nothing is written."""
        report = Report(path)
        loaded = self._loaded(path)
        for number, decoded in self._pieces(path):
            report.see(decoded)
            if _entry(number) in loaded:
                report.skipped += len(decoded.batch)
            progress(path, report.rows + report.refused)
        report.new = report.rows - report.skipped
        return report

    def take(self, path: Path, progress: Progress) -> Report:
        """Write what is not in yet; Unavailable when the store is away: what was written stays, and is not again."""
        report = Report(path)
        stream, loaded = _stream(path, self.named), self._loaded(path)
        writer = StoreWriter(self.database, raw_days=self.rules.raw_days, clock=self.clock)
        waiting: list[BatchHandle] = []
        for number, decoded in self._pieces(path):
            report.see(decoded)
            if _entry(number) in loaded:
                report.skipped += len(decoded.batch)
            elif len(decoded.batch):
                waiting.append(BatchHandle(stream, _entry(number), decoded.batch))
            if sum(len(handle.batch) for handle in waiting) >= _LOAD_ROWS:
                report.new += writer.load(waiting).rows
                waiting = []
            progress(path, report.rows + report.refused)
        if waiting:
            report.new += writer.load(waiting).rows
        return report

    def _pieces(self, path: Path) -> Iterator[tuple[int, Decoded]]:
        return enumerate(read_samples(path, self.rules, self.clock.now_us(), _PIECE_ROWS, self.named))

    def _loaded(self, path: Path) -> set[str]:
        return {row.entry_id for row in self.database.fetch("store_loaded_of", stream=_stream(path, self.named))}


def found_files(patterns: Sequence[str]) -> list[Path]:
    """The files of names and patterns ("2026-*/*.csv"), each once; Invalid for a name that is none."""
    paths: dict[Path, None] = {}
    for pattern in patterns:
        matches = [Path(pattern)] if Path(pattern).is_file() else [Path(name) for name in sorted(glob.glob(pattern))]
        files = [path for path in matches if path.is_file()]
        if not files:
            raise Invalid(f"{pattern}: there is no such file")
        for path in files:
            kind_of(path)
            paths.setdefault(path.resolve())
    return list(paths)


def parsed_names(options: Sequence[str]) -> dict[str, str]:
    """("timestamp=ts", ...) as {"timestamp": "ts"}; Invalid for what is not of that form."""
    named = {}
    for option in options:
        ours, equals, theirs = option.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise Invalid(f"--map {option}: write it as OURS=THEIRS, such as timestamp=ts")
        named[ours.strip()] = theirs.strip()
    return named


def _stream(path: Path, named: Mapping[str, str]) -> str:
    """Named by content and by what its columns are taken for."""
    taken_for = repr(sorted(named.items())).encode()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(taken_for, digest_size=16))
    return f"import:{digest.hexdigest()}"


def _entry(number: int) -> str:
    return f"{number}-0"
