"""What `muninn up` runs: every program, where it answers, what it waits for.

Belongs here: command lines and the order. Does not: starting them (launch), keeping them running (supervisor).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from muninn import cache
from muninn.clock import SystemClock
from muninn.home import Home
from muninn.run import embedded, environment, probes
from muninn.run.supervisor import Program
from muninn.settings import Settings, reachable, without_password

ROOT = Path(__file__).parents[2]
# Lineage may wait, ingest may not: on two cores Dagster's start would hold everything else up.
_DAGSTER_NICE = 10
SCHEMA = "schema"


@dataclass(frozen=True)
class Part:
    """One program of the whole.

    does: for people. address: where it answers. after: names of parts and steps that must be ready before.
    ready: it does its work. alive: it is not hung, whatever may be wrong around it.
    """

    program: Program
    does: str
    address: str
    ready: probes.Probe
    after: tuple[str, ...] = ()
    alive: probes.Probe = probes.unknown

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.name


@dataclass(frozen=True)
class Step:
    """Something to do once between starts; it raises what a person has to be told."""

    name: str
    does: str
    work: Callable[[], None]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """Everything to start, and the settings with the addresses of the servers that will really be used."""

    settings: Settings
    dagster_url: str
    parts: tuple[Part, ...]
    steps: tuple[Step, ...]
    embedded: tuple[embedded.Server, ...]

    @property
    def items(self) -> tuple[Part | Step, ...]:
        """Everything that has to become ready."""
        return (*self.parts, *self.steps)

    def prepare(self, home: Home) -> None:
        """Make what must be there before anything starts; see embedded.Server.prepare."""
        for server in self.embedded:
            server.prepare()
        embedded.make_sockets_folder(home.path)
        _link(ROOT / "dagster.yaml", home.dagster / "dagster.yaml")

    @property
    def dashboard_url(self) -> str:
        """What to open."""
        return f"{self.settings.http}://{reachable(self.settings.streamlit.host)}:{self.settings.streamlit.port}"


def build(settings: Settings, home: Home) -> Stack:
    """The stack for these settings; touches nothing."""
    servers: list[embedded.Server] = []
    if settings.database.url is None:
        servers.append(embedded.postgres(home.path))
        settings = _with_url(settings, "database", servers[-1].url)
    if settings.redis.url is None:
        servers.append(embedded.valkey(home.path, _fsync(settings)))
        settings = _with_url(settings, "redis", servers[-1].url)
    database_url = settings.require_database_url()
    own = settings.dagster.database_url
    dagster_url = own.get_secret_value() if own is not None else environment.sibling_url(database_url, "dagster")
    parts = (*map(_server, servers), *_programs(settings), *_dagster(settings), _streamlit(settings))
    schema = _schema(settings, dagster_url, tuple(server.name for server in servers))
    return Stack(settings, dagster_url, parts, (schema,), tuple(servers))


def _with_url(settings: Settings, section: str, url: str) -> Settings:
    changed = {section: {**getattr(settings, section).model_dump(), "url": url}}
    return Settings.model_validate({**settings.model_dump(), **changed})


def _fsync(settings: Settings) -> dict[str, str]:
    return {"appendfsync": "always" if settings.buffer.durability == "fsync" else "everysec"}


def _server(server: embedded.Server) -> Part:
    program = Program(
        server.name,
        server.argv,
        group="servers",
        directory=server.folder,
        environ=server.environ,
        run_as=server.run_as,
        stop_signal=server.stop_signal,
        grace_s=server.grace_s,
    )
    where = without_password(server.url)
    if server.name == "postgres":
        return Part(program, "the store", where, probes.postmaster(server.folder))
    return Part(program, "buffer, cache, heartbeats", where, probes.redis(server.url), alive=probes.redis(server.url))


def _schema(settings: Settings, dagster_url: str, after: tuple[str, ...]) -> Step:
    """Both servers answer, the schema is there, and so is Dagster's own database."""

    def work() -> None:
        # Here and not above: a database driver takes a while to load, and the servers start meanwhile.
        from muninn.store import databases
        from muninn.store.database import Database
        from muninn.store.migrations import migrate

        url = settings.require_database_url()
        probes.ping(settings.require_redis_url())
        databases.check(url)
        with Database(url, pool_size=1, application_name="muninn-migrate") as database:
            migrate(database)
        _check_access(settings)
        databases.ensure(dagster_url, url, "MUNINN_DAGSTER_DATABASE_URL")

    return Step(SCHEMA, "tables, views and functions", work, after)


def _check_access(settings: Settings) -> None:
    """Nothing is started that would let anybody in; Misconfigured says which setting, and what to do."""
    from muninn.operations import access, listening

    listening.check_unasking(settings)
    listening.files_of_tls(settings)
    if listening.exposed(settings):
        roll, database = access.roll(settings, SystemClock())
        with database:
            roll.refresh()
            for listener in listening.ASKING:
                listening.check(settings, listener, roll)


def _programs(settings: Settings) -> tuple[Part, ...]:
    board = cache.RedisBoard(cache.connect(settings.require_redis_url(), timeout_s=1.0, max_connections=4))

    def own(name: str, does: str, address: str = "", http: str = "", ready: str = "/healthz", count: int = 1) -> Part:
        argv = (sys.executable, "-m", "muninn.run.programs", name, "{number}")
        told = probes.heartbeat(board, name)
        return Part(
            Program(name, argv, instances=count, scalable=name == "loader", directory=ROOT),
            does,
            address,
            probes.both(probes.http_ok(http + ready), told) if http else told,
            (SCHEMA,),
            probes.http_ok(f"{http}/healthz") if http else probes.heartbeat(board, name, unknown=True),
        )

    gateway = settings.gateway_url
    sidecar = f"{reachable(settings.sidecar.host)}:{settings.sidecar.port}"
    websocket = "ws" if settings.http == "http" else "wss"
    return (
        own("gateway", "samples in, JSON out", gateway, gateway, "/readyz"),
        own("loader", "from the buffer to the store", count=settings.loader.count),
        own("refresher", "closes rollups, makes partitions"),
        own("sidecar", "live samples to viewers", f"{websocket}://{sidecar}", f"{settings.http}://{sidecar}"),
        *([own("alerter", "judges rules, notifies")] if settings.alerting.enabled else []),
        *([own("detector", "what is not normal, and why")] if settings.detection.enabled else []),
        *([own("collector", "this machine's figures")] if settings.collector.enabled else []),
        *([own("scraper", "pulls Prometheus text from targets")] if settings.scraper.wanted else []),
        *([own("statsd", "StatsD lines in", _udp(settings))] if settings.statsd.port is not None else []),
    )


def _udp(settings: Settings) -> str:
    return f"udp://{reachable(settings.statsd.host)}:{settings.statsd.port}"


def _dagster(settings: Settings) -> tuple[Part, ...]:
    """The code server first, the web server next (it makes Dagster's tables), the daemon last."""
    config = settings.dagster
    url = f"http://{reachable(config.host)}:{config.port}"
    workspace = ("-w", str(ROOT / "workspace.yaml"))

    def own(name: str, *argv: str, grace_s: float = 6.0) -> Program:
        command = (str(Path(sys.executable).with_name(argv[0])), *argv[1:])
        return Program(name, command, directory=ROOT, nice=_DAGSTER_NICE, grace_s=grace_s)

    code = own(
        "dagster-code", "dagster", "code-server", "start",
        "-h", "127.0.0.1", "-p", str(config.code_port), "-m", "pipelines.definitions",
    )  # fmt: skip
    web = own("dagster-web", "dagster-webserver", "-h", config.host, "-p", str(config.port), *workspace)
    daemon = own("dagster-daemon", "dagster-daemon", "run", *workspace)
    listening = probes.tcp("127.0.0.1", config.code_port)
    return (
        Part(code, "Dagster's code server", f"127.0.0.1:{config.code_port}", listening),
        Part(
            web,
            "lineage",
            url,
            probes.dagster_loaded(url),
            (SCHEMA, code.name),
            probes.http_ok(f"{url}/server_info"),
        ),
        Part(daemon, "schedules and sensors", "", probes.dagster_daemons(url), (web.name,)),
    )


def _link(source: Path, target: Path) -> None:
    """`target` is a link to `source`, whatever it was before."""
    if not (target.is_symlink() and target.resolve() == source.resolve()):
        target.unlink(missing_ok=True)
        target.symlink_to(source)


def _streamlit(settings: Settings) -> Part:
    config = settings.streamlit
    url = f"{settings.http}://{reachable(config.host)}:{config.port}"
    options = {
        "server.address": config.host,
        "server.port": str(config.port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    certificate = settings.access.tls_certificate
    if certificate is not None:
        options["server.sslCertFile"] = str(certificate.absolute())
        options["server.sslKeyFile"] = str((settings.access.tls_key or certificate).absolute())
    argv = [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app" / "app.py")]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return Part(
        Program("streamlit", tuple(argv), directory=ROOT),
        "dashboards",
        url,
        probes.http_ok(f"{url}/_stcore/health"),
        alive=probes.http_ok(f"{url}/_stcore/health"),
    )
