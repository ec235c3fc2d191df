"""The store for one command: of the settings, of the Muninn that runs, or of the one that does not run now.

Belongs here: finding it, and starting the embedded server for as long as a command takes. Does not: what is done to it.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator

from muninn.errors import Unavailable
from muninn.home import Home, Process
from muninn.run import embedded, probes
from muninn.settings import Settings
from muninn.store.database import Database
from muninn.store.migrations import migrate

_START_S = 60.0


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database, its schema up to date; an embedded one that does not run is started, and ended again."""
    home = Home(settings.home)
    with contextlib.ExitStack() as stack:
        url = _url(settings, home) or stack.enter_context(_started(home))
        database = stack.enter_context(Database(url, pool_size=1, application_name="muninn-command"))
        if settings.database.url is not None or not home.is_locked() or home.running() is None:
            migrate(database)
        yield database


def _url(settings: Settings, home: Home) -> str | None:
    if settings.database.url is not None:
        return settings.database.url.get_secret_value()
    state = home.running()
    return None if state is None else state.database_url


@contextlib.contextmanager
def _started(home: Home) -> Iterator[str]:
    home.prepare()
    with home.locked(), tempfile.TemporaryFile() as output:
        server = embedded.postgres(home.path)
        server.prepare()
        child = server.spawn(output.fileno())
        try:
            ready = probes.postmaster(server.folder)
            process = Process(server.name, server.name, child.pid, "running", time.time(), 0, "", 0.0)
            deadline = time.monotonic() + _START_S
            while not ready([process]):
                if child.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    said = output.read()[-400:].decode(errors="replace").strip()
                    raise Unavailable(f"the embedded PostgreSQL does not start: {said}")
                time.sleep(0.05)
            yield server.url
        finally:
            child.send_signal(server.stop_signal)
            with contextlib.suppress(Exception):
                child.wait(server.grace_s)
            child.kill()
