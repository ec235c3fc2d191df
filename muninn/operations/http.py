"""What operators and load balancers ask the gateway: /healthz, /readyz, /metrics.

Belongs here: these three answers. Does not: the health of other parts (health, reads).
"""

from collections.abc import Callable, Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muninn.cache.board import Board
from muninn.errors import MuninnError, Unavailable
from muninn.ingest.about import About, described
from muninn.operations.prometheus import CONTENT_TYPE, exposition

# Returns where the thing answers, raises Unavailable or Misconfigured where it does not.
Check = Callable[[], object]


def routes(board: Board, needed: Mapping[str, Check], useful: Mapping[str, Check]) -> list[Route]:
    """The routes to mount.

    needed: without one of these no request can be taken: /readyz says 503. useful: named there, and no more.
    """

    def alive(_: Request) -> Response:
        return _json({"status": "ok"})

    def ready(_: Request) -> Response:
        failed = {name: said for name, check in {**needed, **useful}.items() if (said := _failure(check))}
        status = "unavailable" if failed.keys() & needed.keys() else ("degraded" if failed else "ok")
        checks = {name: failed.get(name, "ok") for name in (*needed, *useful)}
        return _json({"status": status, "checks": checks}, 503 if status == "unavailable" else 200)

    def metrics(_: Request) -> Response:
        try:
            return Response(exposition(board.read_all()), media_type=CONTENT_TYPE)
        except Unavailable as error:
            return Response(f"# {error}\n", 503, media_type="text/plain")

    return [
        described(Route("/healthz", alive, methods=["GET"]), About("Whether the gateway runs.")),
        described(
            Route("/readyz", ready, methods=["GET"]),
            About("Whether it can take samples; 503 where it cannot, with why."),
        ),
        described(
            Route("/metrics", metrics, methods=["GET"]),
            About("Figures of every program of this Muninn, in Prometheus' text format.", answer="text/plain"),
        ),
    ]


def heard_of(board: Board, program: str) -> None:
    """Return where a process of this program tells how it is; Unavailable where none does."""
    if not any(entry.program == program for entry in board.read_all()):
        raise Unavailable(f"no {program} gives a sign of life: `muninn status` says more")


def _failure(check: Check) -> str:
    """What is wrong, or an empty string."""
    try:
        check()
    except MuninnError as error:
        return str(error)
    return ""


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
