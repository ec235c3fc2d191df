"""Maintenance windows on the gateway: /api/v1/maintenance.

Belongs here: parameters in, JSON out. Does not: when one holds (alerting.silence), keeping (store).
Reading needs the scope read, everything else admin: the doorkeeper sees to it.
"""

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from muninn.alerting.book import maintenance_of
from muninn.alerting.payloads import rfc3339
from muninn.alerting.silence import Maintenance
from muninn.clock import Clock
from muninn.operations.alerts.api import Body, NotFound, made_by, route
from muninn.operations.alerts.rulebook import API, Rulebook
from muninn.settings import Settings
from muninn.store import maintenance
from muninn.store.database import Database
from muninn.store.maintenance import KeptWindow


class MaintenanceApi:
    """The routes; safe for many requests at once."""

    def __init__(self, settings: Settings, database: Database, clock: Clock):
        self._settings, self._database, self._clock = settings, database, clock

    def routes(self) -> list[Route]:
        """The routes to mount."""
        return [
            route("/api/v1/maintenance", "GET", self.windows, ("ended",)),
            route("/api/v1/maintenance", "POST", self.save),
            route("/api/v1/maintenance/{name}", "DELETE", self.end, ("by",)),
        ]

    def windows(self, request: Request, _: Body) -> Any:
        """Those of files and those made here, which win over a file's of the same name; ?ended=true: past ones too."""
        made = maintenance.listed(self._database, ended=request.query_params.get("ended") == "true")
        names = {each.window.name for each in made if each.ended_us is None}
        book = Rulebook(self._settings)
        book.look({})
        files = [self._plain(each, "file") for each in book.book.maintenance if each.name not in names]
        return {"maintenance": [*files, *(self._kept(each) for each in made)]}

    def save(self, request: Request, body: Body) -> Any:
        """A window, as a rules file has it; it replaces one of the same name."""
        by = made_by(request, body)
        given = {name: value for name, value in body.items() if name != "by"}
        window = maintenance_of(given)
        maintenance.save(self._database, window, window.plain(), by)
        return self._plain(window, API)

    def end(self, request: Request, _: Body) -> Any:
        """It ends now: ?by=NAME. Only what was made here can go; a file's window of the same name comes back."""
        by = made_by(request, {"by": request.query_params.get("by", "")})
        if not maintenance.end(self._database, request.path_params["name"], by):
            raise NotFound("no window of this name was made through the API; one in a file is taken out there")
        return {"ended": request.path_params["name"]}

    def _kept(self, kept: KeptWindow) -> Body:
        shown = {"by": kept.created_by, "created_at": rfc3339(kept.created_us)}
        if kept.ended_us is None:
            return {**self._plain(kept.window, API), **shown}
        ended = {"ended_by": kept.ended_by, "ended_at": rfc3339(kept.ended_us)}
        return {**kept.window.plain(), "source": API, "state": "ended", **shown, **ended}

    def _plain(self, window: Maintenance, source: str) -> Body:
        now_us = self._clock.now_us()
        ends_us = window.ends_us(now_us)
        begins_us = None if ends_us is not None else window.begins_us(now_us)
        state = "holds" if ends_us is not None else "to come" if begins_us is not None else "over"
        times = {"ends_at": rfc3339(ends_us), "begins_at": rfc3339(begins_us)}
        return {**window.plain(), "source": source, "state": state, **times}
