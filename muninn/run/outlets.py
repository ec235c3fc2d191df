"""Standard output and error that may go away: a terminal that is closed, a disk that is full.

Belongs here: what a failed write means. Does not: what is written.
"""

from typing import Any, TextIO


class _Outlet:
    """A text stream; what is not said here is as with the stream below it."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Unfailing(_Outlet):
    """What cannot be written is lost, and nothing else happens."""

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            return


class LikePipe(_Outlet):
    """A stream whose reader has gone in whatever way (a closed terminal is an I/O error) is a broken pipe."""

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise BrokenPipeError(*error.args) from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise BrokenPipeError(*error.args) from error
