"""Who makes a request, as the doorkeeper left it for the door.

Belongs here: the name that both use. Does not: judging (guard).
"""

from starlette.requests import Request

from muninn.guard.roll import Caller

CALLER = "muninn_caller"


def caller_of(request: Request) -> Caller | None:
    """The token's holder; None for one who needed no token."""
    return getattr(request.state, CALLER, None)
