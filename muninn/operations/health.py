"""How each part is, from what the supervisor, the part itself and the figures tell. Pure.

Belongs here: the judgement of one part, and of all. Does not: asking (run), thresholds of lag and freshness (reads).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Health = Literal["ok", "degraded", "down"]
_ORDER: tuple[Health, ...] = ("ok", "degraded", "down")
# A process that came back this often, the last time less than this long ago, keeps dying.
_OFTEN = 3
_RECENTLY_S = 120.0


class ProcessSigns(Protocol):
    """What the supervisor knows of one process; see home.Process."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def started_s(self) -> float: ...
    @property
    def restarts(self) -> int: ...
    @property
    def last_end(self) -> str: ...
    @property
    def next_try_s(self) -> float: ...


@dataclass(frozen=True)
class PartStatus:
    """One part: `reason` is empty when it is ok; `lag_s` is None where nothing can lag."""

    name: str
    health: Health
    reason: str = ""
    pids: tuple[int, ...] = ()
    address: str = ""
    restarts: int = 0
    lag_s: float | None = None
    does: str = ""


def part(
    name: str,
    processes: Sequence[ProcessSigns],
    answers: bool,
    now_s: float,
    *,
    address: str = "",
    does: str = "",
    lag_s: float | None = None,
) -> PartStatus:
    """The status of a program; `answers`: whether it does its work when asked; now_s: seconds since the epoch."""
    troubles = [trouble for process in processes if (trouble := _trouble(process, now_s))]
    alive = [process for process in processes if process.state in ("starting", "running")]
    health: Health = "ok"
    if not alive:
        health, troubles = "down", troubles or ["it does not run"]
    elif not answers:
        health, troubles = "down", ["it does not answer", *troubles]
    elif troubles:
        health = "degraded"
    return PartStatus(
        name,
        health,
        "; ".join(troubles),
        tuple(process.pid for process in processes if process.pid),
        address,
        sum(process.restarts for process in processes),
        lag_s,
        does,
    )


def _trouble(process: ProcessSigns, now_s: float) -> str:
    if process.state == "backoff":
        return (
            f"{process.name} ended ({process.last_end}), {process.restarts} restarts so far, "
            f"next try in {max(0.0, process.next_try_s - now_s):.0f} s"
        )
    if process.state not in ("starting", "running"):
        return f"{process.name} is {process.state}"
    if process.restarts >= _OFTEN and now_s - process.started_s < _RECENTLY_S:
        return f"{process.name} keeps ending ({process.last_end}), {process.restarts} restarts so far"
    return ""


def worse(status: PartStatus, health: Health, reason: str) -> PartStatus:
    """The status with a second opinion: the worse of both, and its reason."""
    if _ORDER.index(health) <= _ORDER.index(status.health):
        return status
    reasons = [text for text in (status.reason, reason) if text]
    return PartStatus(**{**vars(status), "health": health, "reason": "; ".join(reasons)})


def worst(parts: Sequence[PartStatus]) -> Health:
    """The health of all together."""
    return max((status.health for status in parts), key=_ORDER.index, default="ok")
