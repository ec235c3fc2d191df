"""What the programs are told: settings as environment variables, and a few of other people's.

Belongs here: the environment of children. Does not: reading it (settings).
"""

import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from muninn.run.embedded import KEEPING
from muninn.settings import PREFIX, Settings, variables

# Two allocation arenas instead of eight a core, the memory of one answer kept for the next, and no thread pools for
# matrices that nobody multiplies.
FRUGAL = {
    **KEEPING,
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "2",
}


def as_environ(settings: Settings) -> dict[str, str]:
    """Every setting that has a value, as load() reads it back; paths absolute, secrets in clear."""
    return {name: _text(value) for name, value in _values(settings).items() if value is not None}


def without_secrets(settings: Settings) -> dict[str, str]:
    """The same without the secrets."""
    secret = {name for name, value in _values(settings).items() if isinstance(value, SecretStr)}
    return {name: text for name, text in as_environ(settings).items() if name not in secret}


def _values(settings: Settings) -> dict[str, object]:
    """Variable -> value."""
    return {
        name: getattr(getattr(settings, section) if section else settings, field)
        for name, (section, field) in variables().items()
    }


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    return str(value)


def of_programs(settings: Settings, dagster_home: Path, dagster_url: str) -> dict[str, str]:
    """The whole environment of every program; the database and Redis URLs are set by now."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {
        **FRUGAL,
        **kept,
        **as_environ(settings),
        "PYTHONUNBUFFERED": "1",
        "DAGSTER_HOME": str(dagster_home),
        "MUNINN_DAGSTER_POSTGRES_URL": for_sqlalchemy(dagster_url),
    }


def sibling_url(url: str, name: str) -> str:
    """The URL of database `name` on the same server, with the same credentials."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def for_sqlalchemy(url: str) -> str:
    """The URL with the driver that Dagster uses."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="postgresql+psycopg2"))
