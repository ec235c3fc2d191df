"""Dagster assets by layer, their checks and resources: the shell that gives the library lineage and schedule.

Belongs here: what an asset is, which partitions it has, what is recorded with it. Does not: how the work is done
(muninn), when it is done (pipelines).
"""
