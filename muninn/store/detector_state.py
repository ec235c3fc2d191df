"""What the detector has learned, in the store: saved whole, in compressed pieces, read back.

Belongs here: pieces and compression. Does not: what the bytes mean (detection.watch).
"""

import zlib

from muninn.errors import Invalid
from muninn.store.database import Database

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
