"""`muninn status`: every part with its health, for people and as JSON.

Belongs here: asking all parts at once, and the two ways to show it. Does not: the judgement (operations, reads).
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from muninn import reads, settings
from muninn.errors import MuninnError
from muninn.home import Home, State
from muninn.operations import health
from muninn.operations.health import PartStatus
from muninn.reads.values import PartHealth, PipelineState
from muninn.run import stack
from muninn.run.stack import Part

_COLOURS = {"ok": "green", "degraded": "yellow", "down": "red"}


@dataclass(frozen=True)
class Status:
    """All of it; `state` is None where nothing runs."""

    home: str
    state: State | None
    parts: tuple[PartStatus, ...] = ()

    @property
    def health(self) -> str:
        """ok, degraded or down."""
        return health.worst(self.parts) if self.state is not None else "down"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        state = self.state
        return {
            "running": state is not None,
            "health": self.health,
            "home": self.home,
            "pid": state.pid if state else None,
            "started_s": state.started_s if state else None,
            "dashboard_url": state.dashboard_url if state else None,
            "database_url": state.database_url if state else None,
            "redis_url": state.redis_url if state else None,
            "parts": [{**asdict(part), "pid": part.pids[0] if part.pids else None} for part in self.parts],
        }

    def as_table(self) -> Table:
        """For people."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for head in ("part", "health", "pid", "address", "lag", "restarts", "reason"):
            table.add_column(head, overflow="fold")
        for part in self.parts:
            table.add_row(
                part.name,
                f"[{_COLOURS[part.health]}]{part.health}[/]",
                ", ".join(map(str, part.pids)) or "-",
                escape(part.address) or "-",
                "-" if part.lag_s is None else f"{part.lag_s:.1f} s",
                str(part.restarts),
                escape(part.reason),
            )
        return table


def status(home: Home, environ: Mapping[str, str]) -> Status:
    """Ask every part of the Muninn that runs on `home`; secrets of its settings are taken from `environ`."""
    state = home.running()
    if state is None:
        return Status(str(home.path), None)
    known = {name: text for name, text in environ.items() if name.startswith(settings.PREFIX)}
    chosen = settings.load({**known, **state.settings})
    plan = stack.build(chosen, home)
    now_s = time.time()
    with ThreadPoolExecutor(len(plan.parts) + 1) as pool:
        figures = pool.submit(_figures, plan.settings)
        found = list(pool.map(lambda part: _ask(part, state, now_s), plan.parts))
    return Status(str(home.path), state, tuple(_with_figures(found, *figures.result())))


def _ask(part: Part, state: State, now_s: float) -> PartStatus:
    processes = [process for process in state.processes if process.program == part.name]
    try:
        answers = part.ready(processes)
    except MuninnError:
        answers = False
    return health.part(part.name, processes, answers, now_s, address=part.address, does=part.does)


def _figures(chosen: settings.Settings) -> tuple[tuple[PartHealth, ...], Mapping[str, float]]:
    """What the reads say of each part, and by how many seconds it is behind; without the store, what programs tell."""
    try:
        with reads.connect(chosen) as asked:
            try:
                pipeline = asked.pipeline()
                if pipeline.store_away is None:
                    return asked.overview().health.parts, _lags(pipeline)
                away = pipeline.store_away
            except MuninnError as error:
                away = str(error)
            others = tuple(part for part in asked.health().parts if part.part != "store")
            return (PartHealth("store", "down", (away,)), *others), _waiting(asked.lag_s())
    except MuninnError as error:
        return (PartHealth("store", "down", (str(error),)),), {}


def _with_figures(
    found: list[PartStatus], opinions: tuple[PartHealth, ...], lags: Mapping[str, float]
) -> list[PartStatus]:
    """The programs with a second opinion and their lag, then the parts that are no programs."""
    second = {opinion.part: opinion for opinion in opinions}
    programs = []
    for part in found:
        if (opinion := second.pop(part.name, None)) is not None:
            part = health.worse(part, opinion.state, "; ".join(opinion.reasons))
        programs.append(PartStatus(**{**vars(part), "lag_s": lags.get(part.name)}))
    others = [
        PartStatus(name, opinion.state, "; ".join(opinion.reasons), lag_s=lags.get(name))
        for name, opinion in second.items()
    ]
    return [*programs, *others]


def _lags(pipeline: PipelineState) -> dict[str, float]:
    """Seconds by which a part is behind: the buffer's oldest entry, the finest rollup, the newest sample."""
    found: dict[str, float | None] = {**_waiting(pipeline.waiting_s)}
    if pipeline.resolutions:
        found["refresher"] = pipeline.resolutions[0].behind_s
    if pipeline.newest_sample_ms is not None:
        found["store"] = max(0.0, (pipeline.at_ms - pipeline.newest_sample_ms) / 1000)
    return {name: round(lag_s, 3) for name, lag_s in found.items() if lag_s is not None}


def _waiting(lag_s: float | None) -> dict[str, float]:
    """What is behind while samples wait in the buffer."""
    return {} if lag_s is None else {"loader": round(lag_s, 3), "buffer": round(lag_s, 3)}
