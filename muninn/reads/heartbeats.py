"""The programs' own figures as they stand on the heartbeat board.

Belongs here: adding up what several programs publish. Does not: judging them (health).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from muninn.cache import BoardEntry
from muninn.clock import SECOND_US
from muninn.reads.values import ProgramState


@dataclass(frozen=True)
class Heartbeats:
    """Every live entry; `known` is False where there is no board to look at."""

    entries: Sequence[BoardEntry]
    known: bool

    def worst(self, metric: str) -> float | None:
        """The largest value of a gauge; None where no program publishes it."""
        return max(
            (value for entry in self.entries for name, _, value in entry.metrics if name == metric), default=None
        )

    def rate(self, metric: str) -> float | None:
        """The growth of a counter per second, over all programs; None where none publishes it."""
        return _sum(value for entry in self.entries for name, _, value in entry.rates if name == metric)

    def labelled(self, metric: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of a figure, of every program that publishes it."""
        return [(labels, value) for entry in self.entries for name, labels, value in entry.metrics if name == metric]

    @property
    def lag_s(self) -> float | None:
        """How long samples take from the buffer into the store; None where no program tells."""
        # The buffer's lag grows while nobody loads; the loader's own tells of the last load only.
        told = self.worst("muninn_buffer_lag_s"), self.worst("muninn_loader_lag_s")
        return max((lag for lag in told if lag is not None), default=None)

    def programs(self, now_us: int) -> tuple[ProgramState, ...]:
        """Who runs, by program and instance."""
        return tuple(
            ProgramState(
                program=entry.program,
                instance=entry.instance,
                pid=entry.pid,
                started_ms=entry.started_us // 1000,
                # Another machine's clock may be a little ahead of ours.
                heartbeat_age_s=max(0, now_us - entry.at_us) / SECOND_US,
            )
            for entry in self.entries
        )


NONE = Heartbeats((), known=False)


def _sum(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) if found else None
