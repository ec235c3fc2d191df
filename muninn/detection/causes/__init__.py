"""Why: what is wrong on many series at once as probable causes, each with its evidence and what to do.

Belongs here: the table of causes and weighing them. Does not: finding anomalies, grouping them.
"""

from muninn.detection.causes.table import CAUSES, Cause, Clue
from muninn.detection.causes.weigh import Observation, Probable, weigh

__all__ = ["CAUSES", "Cause", "Clue", "Observation", "Probable", "weigh"]
