"""Dropped files: what may be taken from the landing folder, and how a file gets in, each exactly once.

Belongs here: the file's way from the folder through the gateway to done/ or failed/. Does not: formats (muninn.ingest),
when a file is looked for (pipelines.sensors).
"""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import dagster as dg
import numpy as np

from assets.resources import MuninnResource
from muninn.clock import SECOND_US, Clock
from muninn.errors import Invalid, Unavailable
from muninn.ingest.validate import BadSample, Rules
from muninn.model import SampleBatch
from muninn.settings import Settings
from muninn.sources.client import Poster, Reply

DONE, FAILED = "done", "failed"
# Whoever writes slower than this uses a temporary name and renames when the file is whole.
SETTLED_US = 5 * SECOND_US
_TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
_EDGE_BYTES = 1 << 20
_CHUNK_ROWS = 50_000
_MAX_REJECTED_SHOWN = 1_000
_PATIENCE_S = 60.0
_AGAIN = frozenset((0, 408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True)
class Candidate:
    """A file that may be taken: its path, and what tells it from any other file that was ever dropped."""

    path: Path
    identity: str


@dataclass
class Report:
    """What became of a file: samples taken and refused, the first of the refused, requests, why it stopped."""

    accepted: int = 0
    rejected: int = 0
    requests: int = 0
    errors: list[BadSample] = field(default_factory=list)
    broken: str | None = None


class LandingConfig(dg.Config):
    """name: of the file in the landing folder."""

    name: str


@dg.asset(group_name="raw", kinds={"file"}, pool="landing")
def landing_files(
    context: dg.AssetExecutionContext, config: LandingConfig, muninn: MuninnResource
) -> dg.MaterializeResult[None]:
    """A CSV, NDJSON or Parquet file from the landing folder, sent through the gateway like any client's samples.

    Good rows count; refused ones are listed. A file that is broken, or has columns that nothing is made of, ends in
    failed/ with the reason beside it.
    """
    started = time.perf_counter()
    settings = muninn.settings
    path = settings.landing_folder / Path(config.name).name
    if not path.is_file():
        raise dg.Failure(f"{path.name} is no longer in the landing folder", allow_retries=False)
    before, digest = path.stat(), _digest(path)
    report = take_in(path, digest, settings, muninn.clock)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise dg.Failure(f"{path.name} was written to while it was read: it is taken again when it is whole")
    target = _move(path, report, digest)
    context.log.info("%s: %d rows taken, %d refused, now %s", path.name, report.accepted, report.rejected, target)
    metadata: dict[str, dg.MetadataValue] = {
        "file": dg.MetadataValue.text(path.name),
        "rows": dg.MetadataValue.int(report.accepted),
        "rejected": dg.MetadataValue.int(report.rejected),
        "bytes": dg.MetadataValue.int(before.st_size),
        "requests": dg.MetadataValue.int(report.requests),
        "seconds": dg.MetadataValue.float(round(time.perf_counter() - started, 3)),
        "moved_to": dg.MetadataValue.path(str(target)),
    }
    if report.errors:
        metadata["rejected_rows"] = dg.MetadataValue.md(_rejected_table(report.errors[:100]))
    if target.parent.name == FAILED:
        raise dg.Failure(_reason(report), metadata=metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


def candidates(folder: Path, now_us: int) -> Iterator[Candidate]:
    """The folder's files that nobody writes to any more, oldest first; each is looked into as it is asked for."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name.lower().endswith(_TEMPORARY) or not entry.is_file():
                continue
            about = entry.stat()
            if now_us * 1000 - about.st_mtime_ns >= SETTLED_US * 1000:
                found.append((about.st_mtime_ns, about.st_size, Path(entry.path)))
    for mtime_ns, size, path in sorted(found):
        identity = _identity(path, size, mtime_ns)
        if identity is not None:
            yield Candidate(path, identity)


def _identity(path: Path, size: int, mtime_ns: int) -> str | None:
    """Name, size, time and a hash of both ends (the whole of a large file is not read just to look); None if gone."""
    try:
        with path.open("rb") as file:
            ends = file.read(_EDGE_BYTES)
            if size > 2 * _EDGE_BYTES:
                file.seek(-_EDGE_BYTES, os.SEEK_END)
            ends += file.read(_EDGE_BYTES)
    except OSError:
        return None
    return f"{path.name}|{size}|{mtime_ns}|{hashlib.blake2b(ends, digest_size=8).hexdigest()}"


def take_in(path: Path, digest: str, settings: Settings, clock: Clock) -> Report:
    """Send the file's good samples; Unavailable when the gateway does not take them for a minute.

    Each chunk's Idempotency-Key follows from the content and the chunk's number, so that a file which was
    half sent when a run died doubles nothing when it is sent again.
    """
    # pyarrow takes time and memory to load: only runs with a file pay for it.
    from muninn.ingest.files import read_samples
    from muninn.sources.files import refuse_left_out

    rules = Rules(settings.gateway.future_s, settings.store.raw_days, max_errors=_MAX_REJECTED_SHOWN)
    report = Report()
    sender = _Sender(settings, clock, report)
    try:
        refuse_left_out(path)
        for number, decoded in enumerate(read_samples(path, rules, clock.now_us(), _CHUNK_ROWS)):
            report.rejected += decoded.rejected
            report.errors.extend(decoded.errors[: _MAX_REJECTED_SHOWN - len(report.errors)])
            sender.send(decoded.batch, f"landing-{digest}-{number}")
    except Invalid as error:
        report.broken = str(error)
    finally:
        sender.close()
    return report


class _Sender:
    """Posts batches until the gateway has decided on them, and adds what it decided to the report."""

    def __init__(self, settings: Settings, clock: Clock, report: Report):
        token = settings.access.token
        self._post = Poster(
            settings.gateway_url,
            30.0,
            token.get_secret_value() if token else None,
            settings.access.tls_certificate,
        )
        self._clock = clock
        self._report = report

    def close(self) -> None:
        self._post.close()

    def send(self, batch: SampleBatch, key: str) -> None:
        """Send a batch; one that is too large for the gateway goes in halves."""
        if not len(batch):
            return
        reply = self._until_decided(batch, key)
        accepted, rejected = reply.body.get("accepted"), reply.body.get("rejected")
        if reply.status == 413 and len(batch) > 1:
            for side, half in enumerate(_halves(batch)):
                self.send(half, f"{key}.{side}")
        elif reply.status in (200, 400) and isinstance(accepted, int) and isinstance(rejected, int):
            # It checks once more what was good here: on a border of time its verdict may differ.
            self._report.accepted += accepted
            self._report.rejected += rejected
        else:
            raise Unavailable(f"the gateway answered {reply.status}: {reply.body.get('detail', reply.body)}")

    def _until_decided(self, batch: SampleBatch, key: str) -> Reply:
        from muninn.sources.wire import ARROW_TYPE, to_arrow

        body, never = to_arrow(batch), Event()
        deadline, wait_s = self._clock.monotonic() + _PATIENCE_S, 0.5
        while True:
            self._report.requests += 1
            reply = self._post(body, ARROW_TYPE, key)
            if reply.status not in _AGAIN:
                return reply
            if self._clock.monotonic() > deadline:
                raise Unavailable(f"the gateway takes no samples: {reply.body.get('detail', reply.status)}")
            self._clock.wait(max(wait_s, min(reply.retry_after_s or 0.0, 10.0)), never)
            wait_s = min(wait_s * 2, 10.0)


def _halves(batch: SampleBatch) -> Iterator[SampleBatch]:
    for rows in np.split(np.arange(len(batch)), [len(batch) // 2]):
        yield batch.take(rows)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _move(path: Path, report: Report, digest: str) -> Path:
    """To done/ or failed/, with what was refused, and why, beside it."""
    failed = report.broken is not None or (report.rejected > 0 and report.accepted == 0)
    folder = path.parent / (FAILED if failed else DONE)
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    if target.exists():
        target = folder / f"{path.stem}.{digest[:8]}{path.suffix}"
    if failed:
        target.with_name(target.name + ".reason.txt").write_text(_reason(report) + "\n", encoding="utf-8")
    if report.errors:
        lines = [f"row {bad.index + 1}: {bad.reason}\n" for bad in report.errors]
        target.with_name(target.name + ".rejected.txt").write_text("".join(lines), encoding="utf-8")
    return path.replace(target)


def _reason(report: Report) -> str:
    if report.broken is not None:
        return f"{report.broken}\n{report.accepted} rows before that were taken, {report.rejected} refused."
    first = report.errors[0]
    return f"None of the {report.rejected} rows is good. Row {first.index + 1}: {first.reason}"


def _rejected_table(errors: list[BadSample]) -> str:
    lines = [f"| {bad.index + 1} | {bad.reason.replace('|', '/')} |" for bad in errors]
    return "\n".join(["| row | why |", "|--:|---|", *lines])
