"""Where rules are: files shipped with Muninn, files of HOME/rules, and those made through the API.

Belongs here: finding and reading, noticing a change. Does not: what is in them (alerting.book).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from muninn.alerting.book import Book, Fault, parse, rule_of
from muninn.alerting.rules import Rule
from muninn.errors import Invalid, Misconfigured
from muninn.settings import Settings

SHIPPED = Path(__file__).parents[3] / "rules"
API = "API"


def files(settings: Settings) -> list[Path]:
    """The rules files in order: shipped ones first, so that one's own rule of the same name replaces them."""
    own = settings.alerting.rules or settings.home / "rules"
    folders = [*([SHIPPED] if settings.alerting.shipped else []), own]
    return [path for folder in folders for path in sorted(folder.glob("*.y*ml")) if path.is_file()]


def read(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Names and texts of files; Misconfigured where one cannot be read."""
    found = []
    for path in paths:
        try:
            found.append((shown(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{path}: cannot be read: {error}") from None
    return found


def shown(path: Path) -> str:
    """A file's name for people."""
    return f"shipped/{path.name}" if path.parent == SHIPPED else str(path)


def book(texts: Sequence[tuple[str, str]], api: Mapping[str, Mapping[str, Any]]) -> tuple[Book, list[Fault]]:
    """Everything together: a rule of the API replaces one of the same name in a file."""
    made, faults = parse(texts)
    rules = {rule.name: rule for rule in made.rules}
    sources = dict(made.sources or {})
    for name, body in api.items():
        try:
            rules[name] = rule_of(body)
            sources[name] = API
        except Invalid as error:
            faults.append(Fault(API, name, error.parameter or "", str(error)))
    return replace(made, rules=tuple(rules.values()), sources=sources), faults


class Rulebook:
    """The book as it is now: files are read again when one of them changed."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._seen: tuple[object, ...] = ()
        self._texts: list[tuple[str, str]] = []
        self._api: Mapping[str, Mapping[str, Any]] = {}
        self.book = Book()
        self.faults: list[Fault] = []

    def look(self, api: Mapping[str, Mapping[str, Any]] | None = None) -> bool:
        """Whether the book is another than before; api: None where the store does not answer, and none change."""
        paths = files(self._settings)
        try:
            seen = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
        except OSError as error:  # an editor may be about to put another file in the place of one
            raise Misconfigured(f"{error.filename}: cannot be read: {error.strerror}") from None
        if seen == self._seen and (api is None or api == self._api) and self._texts is not None:
            return False
        if seen != self._seen:
            self._texts = read(paths)
        self._seen, self._api = seen, self._api if api is None else api
        self.book, self.faults = book(self._texts, self._api)
        return True

    def rule(self, name: str) -> Rule | None:
        """A rule by name."""
        return self.book.rule(name)
