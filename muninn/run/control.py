"""The client of the supervisor's control socket.

Belongs here: asking, and its errors as ours. Does not: what is done then (supervisor).
"""

import http.client
import xmlrpc.client
from pathlib import Path
from typing import Any

from supervisor.states import SupervisorStates
from supervisor.xmlrpc import SupervisorTransport

from muninn.errors import Invalid, Unavailable


class Control:
    """A client of the control socket; Unavailable where no supervisor answers."""

    def __init__(self, path: Path | str):
        self._url = f"unix://{path}"

    def answers(self) -> bool:
        """Whether the supervisor is there."""
        try:
            return bool(self._call("supervisor.getState")["statecode"] == SupervisorStates.RUNNING)
        except Unavailable:
            return False

    def start(self, program: str) -> None:
        """Start a program."""
        self._call("muninn.start", program)

    def restart(self, process: str) -> None:
        """Kill a process; it comes back by itself."""
        self._call("muninn.restart", process)

    def scale(self, program: str, count: int) -> int:
        """Have `count` processes of a program; returns how many there were. Invalid where it cannot scale."""
        return int(self._call("muninn.scale", program, count))

    def _call(self, method: str, *arguments: Any) -> Any:
        # A connection of its own for each call: one that failed half-way cannot be used again.
        transport = SupervisorTransport(None, None, serverurl=self._url)
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            try:
                return getattr(proxy, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                raise Invalid(fault.faultString.partition(": ")[2] or fault.faultString) from fault
            except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
                raise Unavailable(f"the supervisor does not answer: {error}") from error
