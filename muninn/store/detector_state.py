"""What the detector has learned, in the store: saved whole, in compressed pieces, read back; and how far it judged.

Belongs here: pieces and compression. Does not: what the bytes mean (detection.watch).
"""

import zlib

from muninn.errors import Invalid
from muninn.store.database import Database, Transaction

# Far below what one parameter may hold, so that a large fleet's memory is no single huge message.
PIECE_BYTES = 8 << 20


def save(database: Database, detector: str, data: bytes, now_us: int) -> int:
    """Keep `data` in place of what was kept before; how many bytes that took."""
    packed = zlib.compress(data, 1)
    pieces = [packed[start : start + PIECE_BYTES] for start in range(0, len(packed), PIECE_BYTES)]
    with database.transaction() as transaction:
        for piece, body in enumerate(pieces):
            transaction.execute(
                "detection_save_state", detector=detector, piece=piece, pieces=len(pieces), saved_us=now_us, body=body
            )
        transaction.execute("detection_trim_state", detector=detector, pieces=len(pieces))
    return len(packed)


def load(database: Database, detector: str) -> tuple[bytes, int] | None:
    """What was kept and when (microseconds); None where nothing was. Invalid if it is damaged."""
    rows = database.fetch("detection_load_state", detector=detector)
    if not rows:
        return None
    try:
        return zlib.decompress(b"".join(bytes(row.body) for row in rows)), int(rows[0].saved_us)
    except zlib.error as error:
        raise Invalid(f"the state of {detector} is damaged: {error}") from error


def note_judged(transaction: Transaction, detector: str, judged_us: int) -> None:
    """Everything before was judged, and told of."""
    transaction.execute("detection_note_judged", detector=detector, judged_us=judged_us)


def judged(database: Database, detector: str) -> int:
    """Up to when everything was judged and told of; 0 where nothing was."""
    rows = database.fetch("detection_load_judged", detector=detector)
    return int(rows[0].judged_us) if rows else 0
