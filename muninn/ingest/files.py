"""Samples of a file, with the checks of the door.

Belongs here: bringing pieces of files and decoders together. Does not: opening files (sources.files), formats (decode).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from muninn.ingest.decode.arrow import decode_table
from muninn.ingest.decode.json import decode_ndjson
from muninn.ingest.decode.keys import KeyTable
from muninn.ingest.validate import BadSample, Decoded, Rules
from muninn.sources.files import Piece, pieces


def read_samples(
    path: Path, rules: Rules, now_us: int, rows: int = 50_000, named: Mapping[str, str] | None = None
) -> Iterator[Decoded]:
    """The file's samples, in batches of some `rows`; indices of bad ones count the file's rows from 0.

    named: our column -> the file's, where it has another name for it.
    Invalid if the file is not what its name says: nothing more comes then, what came before is good.
    """
    table = KeyTable()
    for piece in pieces(path, rows, named):
        yield _with_broken(_decode(piece, rules, now_us, table), piece, rules)


def _decode(piece: Piece, rules: Rules, now_us: int, table: KeyTable) -> Decoded:
    if piece.table is None:
        return decode_ndjson(piece.lines, rules, now_us, table, piece.first_row)
    return decode_table(piece.table, rules, now_us, table, piece.first_row, piece.text)


def _with_broken(decoded: Decoded, piece: Piece, rules: Rules) -> Decoded:
    if not piece.broken:
        return decoded
    broken = [BadSample(piece.first_row, f"line {line}: {what}") for line, what in piece.broken]
    errors = [*decoded.errors, *broken][: rules.max_errors]
    return replace(decoded, errors=errors, rejected=decoded.rejected + len(broken))
