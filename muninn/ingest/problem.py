"""What a request is answered with when it cannot be done: problem details as of RFC 9457.

Belongs here: our errors as HTTP answers. Does not: routes.
"""

import math
from collections.abc import Mapping

import orjson
from starlette.responses import Response

from muninn.errors import Invalid, MuninnError, Rejected, Unavailable

MEDIA_TYPE = "application/problem+json"
_UNAVAILABLE_RETRY_S = 2
_TITLES = {
    400: "Bad request",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    413: "Body too large",
    415: "Unsupported media type",
    429: "Too much at once",
    500: "Internal error",
    503: "Not available now",
}


def problem(
    status: int, detail: str, headers: dict[str, str] | None = None, more: Mapping[str, object] | None = None
) -> Response:
    """A problem+json answer; the members of `more` stand beside title, status and detail."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    body |= more or {}
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def answer_to(error: MuninnError) -> Response:
    """The answer that an error of ours stands for."""
    if isinstance(error, Rejected):
        return problem(429, str(error), {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))})
    if isinstance(error, Unavailable):
        return problem(503, str(error), {"Retry-After": str(_UNAVAILABLE_RETRY_S)})
    if isinstance(error, Invalid):
        return problem(400, str(error), more={"parameter": error.parameter} if error.parameter else None)
    return problem(500, str(error))
