"""The gateway: the ingest door, the JSON read API, health and metrics, on one HTTP port."""

import contextlib
from functools import partial

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from muninn import reads
from muninn.errors import Unavailable
from muninn.ingest.http import DoorLimits, IngestDoor
from muninn.ingest.loader import measure
from muninn.ingest.validate import Rules
from muninn.operations import access, http, listening, openapi
from muninn.operations.alerts import alertmanager
from muninn.operations.alerts.api import AlertApi
from muninn.operations.alerts.incident_api import IncidentApi
from muninn.operations.alerts.maintenance_api import MaintenanceApi
from muninn.reads import http as reads_http
from muninn.run.programs import Context

# Requests beyond this many at once are answered 503 at once, before they take memory.
_MAX_CONNECTIONS = 1_000
_KEEP_ALIVE_S = 75


def main(context: Context) -> None:
    """Serve until stopped."""
    config = context.settings.gateway
    broker = context.broker(roster=True)
    with contextlib.suppress(Unavailable):  # else the first cumulative histogram asks
        broker.tallies(())  # remembers from when on it remembers
    asked = context.cleanup.enter_context(reads.connect(context.settings, meter=context.meter))
    door = IngestDoor(
        broker,
        rules=Rules(future_s=config.future_s, raw_days=context.settings.store.raw_days),
        gate=context.gate(),
        limits=DoorLimits(max_body_bytes=config.max_body_bytes),
        clock=context.clock,
        meter=context.meter,
        tally_s=context.settings.buffer.tally_s,
    )
    board, chosen = context.board(), context.settings
    programs = [name for name, runs in (("alerter", chosen.alerting), ("detector", chosen.detection)) if runs.enabled]
    alive = {name: partial(http.heard_of, board, name) for name in programs}
    watch = http.routes(board, {"buffer": broker.depth}, {"store": asked.check, **alive})
    alerts = _alert_routes(context, asked)
    ingest = door.paths() | {alertmanager.ALERTS}
    routes = [*door.routes(), *reads_http.routes(asked), *alerts, *watch]
    app = Starlette(routes=openapi.with_document(routes, partial(access.needed_of, ingest)))
    kept = access.Doorkeeper(app, context.judge("gateway"), ingest, context.meter)
    tls = listening.files_of_tls(context.settings)
    context.start_heartbeat(lambda: measure(broker, context.meter, context.buffer_limits()))
    server = uvicorn.Server(
        uvicorn.Config(
            kept,
            host=config.host,
            port=config.port,
            log_config=None,
            access_log=False,
            # Who asks is judged by the peer itself: a header would say what its sender likes.
            proxy_headers=False,
            ssl_certfile=tls and tls[0],
            ssl_keyfile=tls and tls[1],
            lifespan="off",
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=3,
        )
    )
    server.run()


def _alert_routes(context: Context, asked: reads.Reads) -> list[Route]:
    database = context.database()
    given = context.settings, database, asked, context.clock
    more = IncidentApi(asked, context.clock), MaintenanceApi(context.settings, database, context.clock)
    return [
        *AlertApi(*given).routes(),
        *more[0].routes(),
        *more[1].routes(),
        *alertmanager.AlertmanagerApi(*given).routes(),
    ]
