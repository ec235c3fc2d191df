"""The one error tree. A message says what to do; it never carries a secret.

Belongs here: the kinds of trouble that rooms tell apart. Does not: HTTP codes, retries.
"""


class MuninnError(Exception):
    """Any error that Muninn raises on purpose."""


class Rejected(MuninnError):
    """Too much at once: slow down and send again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float = 1.0):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Invalid(MuninnError):
    """The input can never be taken; `parameter` names the part at fault, where there is one."""

    def __init__(self, message: str, parameter: str | None = None):
        super().__init__(message)
        self.parameter = parameter


class Unavailable(MuninnError):
    """A server that we need is away: the same call may go through later."""


class Unnamed(Unavailable):
    """Entries of the buffer at `places` hold series that nobody can name now; the others could be loaded."""

    def __init__(self, places: tuple[int, ...]):
        super().__init__(f"{len(places)} entries of the buffer hold series that the store does not know, unnamed")
        self.places = places


class Overtaken(Unavailable):
    """Somebody else was quicker: look again, then do it again."""


class Misconfigured(MuninnError):
    """A setting or the state folder is wrong: stop, and say what to change."""
