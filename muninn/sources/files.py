"""CSV, NDJSON and Parquet files, a piece at a time.

CSV has a header; columns are those of ingest.decode.arrow (`labels` as a JSON object, or one column `label.NAME` a
label). NDJSON has a sample a line. CSV and NDJSON may be gzipped. What a row means is for ingest.decode to say.

Belongs here: opening files and cutting them up. Does not: samples, validation.
"""

import contextlib
import csv
import io
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from muninn.errors import Invalid

COLUMNS = ("metric", "timestamp", "value", "labels", "source_agent_id", "instance_id")
LABEL_PREFIX = "label."
_MEMBERS = (*COLUMNS, "distribution")
_LOOKED_AT_LINES = 1000
KINDS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet", ".pq": "parquet"}
_BLOCK_BYTES = 4 << 20
_MAX_LINE_BYTES = 16 << 20
_BROKEN = (pa.ArrowException, OSError, ValueError, csv.Error)


@dataclass(frozen=True)
class Piece:
    """Part of a file, as a table or as lines of NDJSON; `text`: instants and values are text, as CSV has them.

    first_row: number of its first row, counted from 0. broken: (line, what is wrong) of lines that are no rows.
    """

    first_row: int
    table: pa.Table | None = None
    lines: bytes = b""
    text: bool = False
    broken: tuple[tuple[int, str], ...] = ()


def kind_of(path: Path) -> str:
    """csv, ndjson or parquet, by the name's ending; Invalid for any other."""
    name = path.name.lower().removesuffix(".gz")
    kind = KINDS.get(Path(name).suffix)
    if kind is None:
        raise Invalid(f"{path.name}: the name must end in one of {', '.join(KINDS)} (CSV and NDJSON also with .gz)")
    return kind


def pieces(path: Path, rows: int = 50_000, named: Mapping[str, str] | None = None) -> Iterator[Piece]:
    """The file in order, in tables of at most `rows` rows or blocks of a few MiB.

    named: our column -> the file's, where it has another name for it.
    Invalid if it is not what its name says; Arrow's message tells where.
    """
    read = {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet}[kind_of(path)]
    try:
        yield from read(path, rows, _Names(named or {}))
    except _BROKEN as error:
        raise Invalid(
            f"{path.name}: {str(error).splitlines()[0][:300] if str(error) else type(error).__name__}"
        ) from None


def left_out(path: Path, named: Mapping[str, str] | None = None) -> list[str]:
    """Columns of the file that nobody asks for; of NDJSON the members of its first thousand lines.

    What tells series apart there is lost, and they become one. Invalid where the file cannot be read.
    """
    kind, names_of = kind_of(path), _Names(named or {})
    try:
        if kind == "parquet":
            with pq.ParquetFile(path) as file:
                names = list(file.schema_arrow.names)
        else:
            names = _header(path, names_of) if kind == "csv" else _members(path)
    except _BROKEN as error:
        raise Invalid(f"{path.name}: {error}") from None
    # Lines that are read as they are have their labels as an object. A column without a name is a count of rows.
    plain = kind == "ndjson" and not names_of
    return [name for name in names if name and not (name in _MEMBERS if plain else names_of.ours(name) or _known(name))]


def refuse_left_out(path: Path, named: Mapping[str, str] | None = None, ignored: Collection[str] = ()) -> None:
    """Invalid, before anything is read, where a file has columns that would be lost and nobody said may be."""
    lost = [name for name in left_out(path, named) if name not in ignored]
    if lost:
        shown, first = ", ".join(f"`{name}`" for name in lost[:20]), lost[0]
        raise Invalid(
            f"{path.name}: nothing is made of {shown}, and series that differ only there would become one. Name it"
            f" `{LABEL_PREFIX}{first}` in the file, or have `muninn import` make it a label with --map"
            f" '{LABEL_PREFIX}{first}={first}', or leave it out with --ignore '{first}'"
        )


def _members(path: Path) -> list[str]:
    found: dict[str, None] = {}
    first = next(_lines(path), Piece(0)).lines
    for line in itertools.islice(io.BytesIO(first), _LOOKED_AT_LINES):
        with contextlib.suppress(orjson.JSONDecodeError):  # a line that is bad is refused by its number
            row = orjson.loads(line)
            found |= dict.fromkeys(row if isinstance(row, dict) else ())
    return list(found)


class _Names:
    """Which columns of a file are ours, and what we call them."""

    def __init__(self, named: Mapping[str, str]):
        if unknown := [ours for ours in named if not _known(ours)]:
            raise Invalid(f"{unknown[0]} is not a column of ours: {', '.join(COLUMNS)} or {LABEL_PREFIX}NAME")
        self.theirs = {theirs: ours for ours, theirs in named.items()}

    def __bool__(self) -> bool:
        return bool(self.theirs)

    def ours(self, name: str) -> str | None:
        """Our name for a column, or None for one that is left out."""
        if name in self.theirs:
            return self.theirs[name]
        return name if _known(name) and name not in self.theirs.values() else None

    def theirs_of(self, name: str) -> str:
        """The file's name for a column of ours."""
        return next((theirs for theirs, ours in self.theirs.items() if ours == name), name)

    def wanted(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.ours(name) is not None]

    def renamed(self, table: pa.Table) -> pa.Table:
        return table.rename_columns([self.ours(name) or name for name in table.schema.names])


def _parquet(path: Path, rows: int, names_of: _Names) -> Iterator[Piece]:
    with pq.ParquetFile(path) as file:
        names = names_of.wanted(file.schema_arrow.names)
        _check_counts(file.metadata)
        first_row = 0
        for batch in file.iter_batches(batch_size=rows, columns=names):
            batch.validate(full=True)  # a file may call bytes text that are none
            yield Piece(first_row, names_of.renamed(pa.Table.from_batches([batch])))
            first_row += batch.num_rows


def _check_counts(told: pq.FileMetaData) -> None:
    """ValueError where a file counts rows that cannot be: Arrow would end the process over it.

    Not over this alone (what a footer tells of columns is not even looked at here, which may end it too): whoever may
    put Parquet files into a folder that is read must be trusted. The gateway takes none.
    """
    counts = [told.row_group(place).num_rows for place in range(told.num_row_groups)]
    if min(counts, default=0) < 0 or sum(counts) != told.num_rows:
        raise ValueError("its footer counts rows that cannot be")


def _csv(path: Path, rows: int, names_of: _Names) -> Iterator[Piece]:
    names = _header(path, names_of)
    broken: list[tuple[int, str]] = []

    def skip(row: pcsv.InvalidRow) -> str:
        number = -1 if row.number is None else row.number
        broken.append((number, f"{row.actual_columns} columns instead of {row.expected_columns}"))
        return "skip"

    wanted = names_of.wanted(names)
    with _opened(path) as source:
        reader = pcsv.open_csv(
            source,
            pcsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            pcsv.ParseOptions(invalid_row_handler=skip),
            pcsv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        first_row = 0
        for batch in reader:
            for start in range(0, batch.num_rows, rows):
                table = names_of.renamed(pa.Table.from_batches([batch.slice(start, rows)]))
                yield Piece(first_row, table, text=True, broken=tuple(broken))
                first_row += table.num_rows
                broken.clear()
        if broken:
            yield Piece(first_row, text=True, broken=tuple(broken))


def _header(path: Path, names_of: _Names) -> list[str]:
    with _opened(path) as source:
        line = io.BytesIO(source.read(_BLOCK_BYTES)).readline().decode("utf-8-sig").strip()
    names = next(csv.reader([line]), [])
    found = {names_of.ours(name) for name in names}
    missing = [name for name in COLUMNS[:3] if name not in found]
    if missing:
        there = ", ".join(names[:20]) or "nothing"
        wanted = names_of.theirs_of(missing[0])
        what_to_do = "" if wanted != missing[0] else f". `muninn import` is told which one it is by --map {wanted}=NAME"
        raise Invalid(f"{path.name}: there is no column `{wanted}`; the header has {there}{what_to_do}")
    return names


def _opened(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression="gzip" if path.name.lower().endswith(".gz") else None)


def _known(name: str) -> bool:
    return name in COLUMNS or name.startswith(LABEL_PREFIX)


def _ndjson(path: Path, _: int, names_of: _Names) -> Iterator[Piece]:
    for piece in _lines(path):
        yield _as_table(piece, names_of) if names_of else piece


def _as_table(piece: Piece, names_of: _Names) -> Piece:
    """The lines as columns, so that those may be renamed: then a line that is not JSON breaks the file."""
    try:
        frame = pl.read_ndjson(piece.lines, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"after row {piece.first_row}: {error}") from None
    table = frame.select(names_of.wanted(frame.columns)).to_arrow(compat_level=pl.CompatLevel.oldest())
    return Piece(piece.first_row, names_of.renamed(table), text=True)


def _lines(path: Path) -> Iterator[Piece]:
    first_row, rest = 0, b""
    with _opened(path) as source:
        while block := source.read(_BLOCK_BYTES):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                raise Invalid(f"{path.name}: a line after row {first_row} has more than {_MAX_LINE_BYTES} bytes")
            if newline:
                yield Piece(first_row, lines=whole)
                first_row += sum(1 for line in whole.split(b"\n") if line and not line.isspace())
    if rest:
        yield Piece(first_row, lines=rest)
