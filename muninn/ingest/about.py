"""What a route says of itself, so that whoever describes the gateway reads it from the routes that are mounted.

Belongs here: the description beside a route. Does not: making a document of all of them (operations.openapi).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

_ABOUT = "about"
JSON = "application/json"


@dataclass(frozen=True)
class About:
    """One route. parameters: of the query, those in `repeated` may be given several times.

    bodies: media types that are taken, `encodings` how they may be packed. answer: media type of success, empty where
    it has no body; shape: the value that is answered, where it has a class of its own. plain_refusals: errors are
    texts, as another system's clients read them.
    """

    text: str
    parameters: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()
    answer: str = JSON
    shape: type[Any] | None = None
    plain_refusals: bool = False


def described(route: Route, about: About) -> Route:
    """The same route, which can be asked `about_of`."""
    setattr(route, _ABOUT, about)
    return route


def about_of(route: Route) -> About:
    """What was said of a route; AttributeError where nothing was."""
    found: About = getattr(route, _ABOUT)
    return found


def text_of(answer: Callable[..., Any]) -> str:
    """What a function says of itself."""
    return inspect.getdoc(answer) or ""
