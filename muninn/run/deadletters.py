"""What `muninn deadletter` does.

Belongs here: words and tables. Does not: the letters themselves (ingest.buffer).
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from rich.table import Table

from muninn.errors import Invalid, MuninnError
from muninn.home import Home
from muninn.ingest.buffer.contract import MAX_DEAD_LETTERS, BufferLimits
from muninn.ingest.buffer.sharded import ShardedBroker, open_buffer
from muninn.ingest.buffer.valkey import ValkeyBroker
from muninn.model import SampleBatch
from muninn.model.window import as_datetime
from muninn.reads.dead_letters import samples_of, told
from muninn.run.paper import paper
from muninn.settings import Settings

SHOWN_SAMPLES = 20
Buffer = ValkeyBroker | ShardedBroker


def show_all(settings: Settings, limit: int, as_json: bool) -> None:
    """Print the newest."""
    with _broker(settings) as broker:
        found, count = told(broker.dead_letters(limit)), broker.dead_letter_count()
    if as_json:
        print(orjson.dumps([asdict(letter) for letter in found], option=orjson.OPT_INDENT_2).decode())
        return
    if not found:
        print("There is none: everything that was taken in could be stored.")
        return
    table = Table("id", "when", "samples", "series", "reason", caption=f"{len(found)} of {count}")
    for letter in found:
        when = as_datetime(letter.at_ms * 1000).isoformat(timespec="seconds")
        table.add_row(letter.letter_id, when, _number(letter.samples), _number(letter.series), letter.reason)
    paper().print(table)


def show(settings: Settings, letter_id: str, as_json: bool) -> None:
    """Print one with its first samples; Invalid where there is none of this id."""
    with _broker(settings) as broker:
        letter = broker.dead_letter(letter_id)
    if letter is None:
        raise _none(letter_id)
    (info,) = told([letter])
    batch = samples_of(letter)
    rows = [] if batch is None else _rows(batch)
    if as_json:
        print(orjson.dumps({**asdict(info), "first_samples": rows}, option=orjson.OPT_INDENT_2).decode())
        return
    print(
        f"{info.letter_id}: {info.reason}\nentry {info.entry_id}, {_number(info.samples)} samples, {info.bytes:,} bytes"
    )
    for row in rows:
        print(f"  {row['at']}  {row['series']}  {row['value']}")


def replay(settings: Settings, ids: Sequence[str], everything: bool) -> None:
    """Send letters again, oldest first; exit code 1 where some could not be."""
    _each(settings, ids, everything, lambda broker, letter_id: broker.replay(letter_id) is not None, "sent again")


def drop(settings: Settings, ids: Sequence[str], everything: bool) -> None:
    """Forget letters."""
    _each(settings, ids, everything, lambda broker, letter_id: broker.drop(letter_id), "dropped")


def _each(
    settings: Settings, ids: Sequence[str], everything: bool, act: Callable[[Buffer, str], bool], done: str
) -> None:
    if bool(ids) == everything:
        raise Invalid("give ids, or --all")
    failed = count = 0
    with _broker(settings) as broker:
        chosen = ids if ids else [each.letter_id for each in reversed(broker.dead_letters(MAX_DEAD_LETTERS))]
        for letter_id in chosen:
            try:
                if not act(broker, letter_id):
                    raise _none(letter_id)
                count += 1
            except MuninnError as error:
                print(f"muninn: {error}", file=sys.stderr)
                failed += 1
    print(f"{count} {done}" + (f", {failed} not" if failed else ""))
    if failed:
        sys.exit(1)


def _none(letter_id: str) -> Invalid:
    return Invalid(f"there is no dead letter {letter_id}: `muninn deadletter list` shows them")


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _rows(batch: SampleBatch) -> list[dict[str, Any]]:
    rows = []
    for place in range(min(len(batch), SHOWN_SAMPLES)):
        at = int(batch.key_index[place])
        name = batch.keys.name(at)
        series = name.decode() if name is not None else f"fingerprint {bytes(batch.keys.fingerprints[at]).hex()}"
        instant = as_datetime(int(batch.at_us[place])).isoformat()
        rows.append({"at": instant, "series": series, "value": float(batch.value[place])})
    return rows


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[Buffer]:
    """The buffer of the settings, or of the Muninn that runs."""
    url = None if settings.redis.url is None else settings.redis.url.get_secret_value()
    state = Home(settings.home).running()
    if url is None and state is not None:
        url = state.redis_url
    chosen = settings.buffer
    limits = BufferLimits(chosen.max_bytes, chosen.live_s, chosen.idempotency_s, max_age_s=chosen.max_age_s)
    broker = open_buffer(
        url or settings.require_redis_url(),
        chosen.shards,
        limits=limits,
        durability=chosen.durability,
        replicas=chosen.replicas,
    )
    try:
        yield broker
    finally:
        broker.close()
