"""What is normal for a series, and how far a sample is from it: pure, columnar, learning as it goes.

Belongs here: scoring and learning over arrays; state as bytes. Does not: I/O, clocks, alerts, causes.
"""

from muninn.detection.engine import Engine
from muninn.detection.state import VIEWS
from muninn.detection.tuning import ANOMALY, WARNING, Tuning
from muninn.detection.verdicts import Verdicts

__all__ = ["ANOMALY", "VIEWS", "WARNING", "Engine", "Tuning", "Verdicts"]
