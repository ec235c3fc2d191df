"""The bytes of a binary COPY, against the format as PostgreSQL's manual writes it."""

import struct

import numpy as np

from muninn.store import binary_copy


def test_rows_are_laid_out_as_the_manual_says() -> None:
    data = binary_copy.encode(
        (np.array([1, -2], np.int64), np.array([3, 4], np.int32), np.array([0.5, -1e300], np.float64))
    )
    expected = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
    for at, series_id, value in ((1, 3, 0.5), (-2, 4, -1e300)):
        expected += struct.pack(">hiqiiid", 3, 8, at, 4, series_id, 8, value)
    assert data == expected + struct.pack(">h", -1)


def test_no_rows_are_a_header_and_a_trailer() -> None:
    assert len(binary_copy.encode((np.empty(0, np.int64),))) == 21


def test_instants_count_from_the_year_2000() -> None:
    at_us = np.array([946_684_800_000_000, 0], np.int64)
    assert binary_copy.timestamptz(at_us).tolist() == [0, -946_684_800_000_000]


def test_arrays_of_any_length_follow_the_other_columns() -> None:
    data = binary_copy.encode_with_arrays(
        (np.array([1, 2], np.int64), np.array([3, 4], np.int32)), np.array([1, 2]), np.array([7, 8, -9], np.int64)
    )
    expected = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
    for at, series_id, elements in ((1, 3, [7]), (2, 4, [8, -9])):
        expected += struct.pack(">hiqii", 3, 8, at, 4, series_id)
        expected += struct.pack(">iiiiii", 20 + 12 * len(elements), 1, 0, 20, len(elements), 1)
        expected += b"".join(struct.pack(">iq", 8, element) for element in elements)
    assert data == expected + struct.pack(">h", -1)
