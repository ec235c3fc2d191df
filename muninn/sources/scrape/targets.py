"""Which targets are scraped, with what labels, how often: from settings, and from a file that may change.

Belongs here: reading and checking them. Does not: scraping.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson

from muninn.errors import Misconfigured

log = logging.getLogger(__name__)

DEFAULT_PATH = "/metrics"
_PORTS = {"http": 80, "https": 443}
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_LEAST_INTERVAL_S = 0.1


@dataclass(frozen=True)
class Target:
    """One address to scrape; `labels` (sorted pairs) go on each of its series and hold at least job and instance."""

    url: str
    labels: tuple[tuple[str, str], ...]
    interval_s: float
    timeout_s: float

    @property
    def shown(self) -> str:
        """For logs: job and instance."""
        labels = dict(self.labels)
        return f"{labels['instance']} (job {labels['job']})"


@dataclass(frozen=True)
class Defaults:
    """What a target has that says nothing else."""

    job: str = "scrape"
    interval_s: float = 15.0
    timeout_s: float = 10.0


def from_list(text: str, defaults: Defaults) -> list[Target]:
    """Comma-separated URLs, `host:port` for short; Misconfigured says which is none."""
    return [_target(each.strip(), {}, defaults) for each in text.split(",") if each.strip()]


def from_file(path: Path, defaults: Defaults) -> list[Target]:
    """Targets of a file in the JSON form of Prometheus' file_sd: `[{"targets": [...], "labels": {...}}]`.

    Labels that begin with `__` set how a group is scraped: __scheme__, __metrics_path__, __param_<name>,
    __scrape_interval__, __scrape_timeout__. Misconfigured when the file is missing or not of that form.
    """
    try:
        groups = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise Misconfigured(f"MUNINN_SCRAPER_FILE {path}: {error}") from error
    form = '[{"targets": ["host:port"], "labels": {"name": "value"}}]'
    if not isinstance(groups, list) or not all(map(_is_group, groups)):
        raise Misconfigured(f"MUNINN_SCRAPER_FILE {path} must be of the form {form}")
    return [_target(each, group.get("labels") or {}, defaults) for group in groups for each in group["targets"]]


def _is_group(group: object) -> bool:
    if not isinstance(group, dict):
        return False
    targets, labels = group.get("targets"), group.get("labels") or {}
    return (
        isinstance(targets, list)
        and all(isinstance(each, str) for each in targets)
        and isinstance(labels, dict)
        and all(isinstance(value, str) for value in labels.values())
    )


def _target(address: str, labels: Mapping[str, str], defaults: Defaults) -> Target:
    parts = urlsplit(address if "://" in address else f"{labels.get('__scheme__', 'http')}://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in _PORTS or not host:
        raise Misconfigured(f"the scrape target {parts.hostname or address!r} is not http://host:port/path")
    if parts.username is not None or parts.password is not None:
        raise Misconfigured(f"the scrape target {host!r} carries a user or password: none are taken in addresses")
    where = f"[{host}]" if ":" in host else host
    instance = f"{where}:{port or _PORTS[parts.scheme]}"
    parameters = {name[8:]: value for name, value in labels.items() if name.startswith("__param_")}
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    path = labels.get("__metrics_path__") or (parts.path if parts.path not in ("", "/") else DEFAULT_PATH)
    interval_s = _seconds(labels.get("__scrape_interval__"), defaults.interval_s)
    timeout_s = _seconds(labels.get("__scrape_timeout__"), min(defaults.timeout_s, interval_s))
    if not interval_s >= _LEAST_INTERVAL_S or not 0 < timeout_s <= interval_s:
        raise Misconfigured(
            f"the scrape target {instance!r} needs an interval of at least {_LEAST_INTERVAL_S:g} s "
            f"and a timeout that is not longer ({interval_s:g} s, {timeout_s:g} s)"
        )
    own = {name: value for name, value in labels.items() if not name.startswith("__") and value}
    named = {"job": defaults.job, "instance": instance, **own}
    url = urlunsplit((parts.scheme, f"{where}:{port}" if port else where, path, query, ""))
    return Target(url, tuple(sorted(named.items())), interval_s, timeout_s)


def _seconds(text: str | None, otherwise: float) -> float:
    """A duration as Prometheus writes it, 1m30s or 500ms."""
    if not text:
        return otherwise
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Misconfigured(f"{text!r} is not a duration such as 15s or 1m30s")
    hours, minutes, seconds, millis = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


class Targets:
    """The targets at this moment. A file that changes is read again; while it is broken the last good ones hold."""

    def __init__(self, text: str, file: Path | None, defaults: Defaults):
        self._fixed = from_list(text, defaults)
        self._file, self._defaults = file, defaults
        self._seen = _signature(file)
        self._now = self._read()

    def current(self) -> list[Target]:
        """All of them, each once. Cheap: asks the file system whether the file has changed."""
        seen = _signature(self._file)
        if seen != self._seen:
            self._seen = seen
            try:
                self._now = self._read()
                log.info("%d targets from %s", len(self._now), self._file)
            except Misconfigured as error:
                log.warning("the targets stay as they were: %s", error)
        return self._now

    def _read(self) -> list[Target]:
        found = self._fixed + (from_file(self._file, self._defaults) if self._file else [])
        by_labels: dict[tuple[tuple[str, str], ...], Target] = {}
        for target in found:
            other = by_labels.setdefault(target.labels, target)
            if other != target:
                raise Misconfigured(
                    f"the scrape targets {other.url} and {target.url} would write the same series: "
                    "give one of them another label in MUNINN_SCRAPER_FILE"
                )
        return list(by_labels.values())


def _signature(file: Path | None) -> tuple[int, int, int] | None:
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
