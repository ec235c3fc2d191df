"""Files of all three kinds give the same samples, with the checks of the door."""

import gzip
import json
from pathlib import Path

import orjson
import polars as pl
import pytest

from muninn.clock import SECOND_US
from muninn.errors import Invalid
from muninn.ingest.files import read_samples
from muninn.ingest.validate import BadSample, Rules
from muninn.model import SampleBatch, SeriesKey
from muninn.sources.files import left_out, refuse_left_out

NOW_US = 1_700_000_000 * SECOND_US
NOW_MS = NOW_US // 1000
RULES = Rules()
ROWS = [(SeriesKey.of("cpu", {"host": str(i % 3)}, "agent"), NOW_US - i * 1000, i / 4) for i in range(40)]


def read(path: Path, rows: int = 7) -> tuple[list[tuple[SeriesKey, int, float]], list[BadSample], int]:
    batches, errors, rejected = [], [], 0
    for decoded in read_samples(path, RULES, NOW_US, rows):
        batches.append(decoded.batch)
        errors += decoded.errors
        rejected += decoded.rejected
    whole = SampleBatch.concat(batches)
    columns = zip(whole.key_index, whole.at_us.tolist(), whole.value.tolist(), strict=True)
    return [(whole.keys[key], at, value) for key, at, value in columns], errors, rejected


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "metric": [key.metric for key, _, _ in ROWS],
            "timestamp": [at / 1000 for _, at, _ in ROWS],
            "value": [value for _, _, value in ROWS],
            "labels": [orjson.dumps(dict(key.labels)).decode() for key, _, _ in ROWS],
            "source_agent_id": [key.source_agent_id for key, _, _ in ROWS],
            "comment": ["x"] * len(ROWS),
        }
    )


def test_parquet_csv_and_ndjson_give_the_same_samples(tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "a.parquet", row_group_size=15)
    frame().write_csv(tmp_path / "a.csv")
    lines = [{**row, "labels": orjson.loads(row["labels"])} for row in frame().to_dicts()]
    body = b"\n".join(map(orjson.dumps, lines))
    (tmp_path / "a.ndjson").write_bytes(body)
    (tmp_path / "A.JSONL.GZ").write_bytes(gzip.compress(body))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    for path in sorted(tmp_path.iterdir()):
        assert read(path) == (ROWS, [], 0), path.name


def test_csv_takes_text_timestamps_and_label_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "\N{ZERO WIDTH NO-BREAK SPACE}metric,timestamp,value,label.host,other\n"
        "cpu,2023-11-14T22:13:20Z, 1.5,a,1\n"
        'cpu,1700000000000,-2e3,"b, c",oops\n'
        "cpu,1700000000000.5,3,,\n"
    )
    rows, errors, _ = read(path)
    assert errors == []
    assert rows == [
        (SeriesKey.of("cpu", {"host": "a"}), NOW_US, 1.5),
        (SeriesKey.of("cpu", {"host": "b, c"}), NOW_US, -2000.0),
        (SeriesKey.of("cpu"), NOW_US + 500, 3.0),
    ]


def test_bad_rows_of_a_csv_are_named_and_the_others_count(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = ["metric,timestamp,value", "cpu,1700000000000,1", "cpu,yesterday,2", "cpu,1700000000000,many", "cpu,,4"]
    lines += [
        "cpu,1700000000000,",
        "cpu,1700000000000",
        "cpu,1700000000000,nan",
        "cpu,1700000000000,1_0",
        ",1700000000000,9",
    ]
    path.write_text("\n".join([*lines, "cpu,1700000000000,10"]))
    rows, errors, rejected = read(path, rows=3)
    assert [value for _, _, value in rows] == [1.0, 10.0]
    assert rejected == 8
    assert {bad.reason for bad in errors} == {
        "timestamp: yesterday is not RFC 3339",
        "value: 'many' is not a number",
        "timestamp: missing",
        "value: missing",
        "line 7: 2 columns instead of 3",
        "value: must be finite",
        "value: '1_0' is not a number",
        "metric: missing",
    }
    assert {bad.index for bad in errors if "line" not in bad.reason} == {1, 2, 3, 4, 5, 6, 7}


def test_ndjson_lines_are_counted_through_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muninn.sources.files._BLOCK_BYTES", 64)
    good = orjson.dumps({"metric": "cpu", "timestamp": NOW_MS, "value": 1})
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\n".join([good] * 20 + [b"oops", b""] + [good] * 20 + [b"{}"]))
    rows, errors, _ = read(path)
    assert len(rows) == 40
    assert [bad.index for bad in errors] == [20, 41]


def test_an_empty_file_has_no_samples(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"")
    (tmp_path / "b.csv").write_text("metric,timestamp,value\n")
    frame().head(0).write_parquet(tmp_path / "c.parquet")
    for path in tmp_path.iterdir():
        assert read(path) == ([], [], 0), path.name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"must end in one of \.csv"),
        ("a", b"", "must end in one of"),
        ("a.parquet", b"PAR1 not really", "a.parquet: "),
        ("a.parquet", b"", "a.parquet: "),
        ("a.csv", b"", "no column `metric`; the header has nothing"),
        ("a.csv", b"time,value\n1,2\n", "no column `metric`; the header has time, value"),
        ("a.csv.gz", b"not gzip", "a.csv.gz: "),
        ("a.csv", b"metric,time\rstamp,value\ncpu,1,2\n", "a.csv: new-line character"),
        ("a.csv", b"metric,timestamp,value\n\xff\xfe\xff,1,2\n", "a.csv: "),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_invalid(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Invalid, match=message):
        read(tmp_path / name)


def test_text_in_parquet_that_is_none_makes_the_file_invalid(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"metric": ["cpu", "wxyz"], "timestamp": [NOW_MS, NOW_MS], "value": [1.0, 2.0]}).write_parquet(
        path, compression="uncompressed", statistics=False, use_pyarrow=False
    )
    content = path.read_bytes()
    assert content.count(b"wxyz") == 1
    path.write_bytes(content.replace(b"wxyz", b"w\xffyz"))
    with pytest.raises(Invalid, match=r"a\.parquet: "):
        read(path)


def test_a_parquet_footer_that_counts_what_cannot_be_makes_the_file_invalid(tmp_path: Path) -> None:
    """In Arrow itself it would end the process."""
    path = tmp_path / "a.parquet"
    path.write_bytes((Path(__file__).parents[2] / "data" / "negative-rows.parquet").read_bytes())
    with pytest.raises(Invalid, match="rows that cannot be"):
        read(path)


def test_a_missing_file_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"a\.csv"):
        read(tmp_path / "a.csv")


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muninn.sources.files._BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr("muninn.sources.files._MAX_LINE_BYTES", 1 << 12)
    (tmp_path / "a.ndjson").write_bytes(b"[" * 10_000)
    with pytest.raises(Invalid, match="more than 4096 bytes"):
        read(tmp_path / "a.ndjson")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "ndjson", "parquet"])
def test_columns_that_would_be_lost_are_named(tmp_path: Path, kind: str) -> None:
    """Five hosts in a column of their own name would silently become one series."""
    rows = [{"metric": "m", "timestamp": "2023-11-15T11:00:00Z", "value": 1.0, "host": "a", "rack": 1}]
    frame, path = pl.DataFrame(rows), tmp_path / f"x.{kind}"
    if kind == "ndjson":
        path.write_text("no json\n" + json.dumps(rows[0]) + "\n")
    elif kind == "parquet":
        frame.write_parquet(path)
    else:
        plain = frame.select(pl.lit(0).alias(""), pl.all()).write_csv().encode()
        path.write_bytes(gzip.compress(plain) if kind.endswith("gz") else plain)
    assert left_out(path) == ["host", "rack"]
    assert left_out(path, {"label.host": "host", "label.rack": "rack"}) == []
    with pytest.raises(Invalid, match=r"nothing is made of `rack`.*--map 'label\.rack=rack'"):
        refuse_left_out(path, {"label.host": "host"}, ())
    refuse_left_out(path, {"label.host": "host"}, ["rack"])


def test_a_label_beside_its_object_is_lost_in_lines_that_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text('{"metric": "m", "timestamp": 1, "distribution": {}, "labels": {}, "label.host": "a"}\n')
    assert left_out(path) == ["label.host"]
