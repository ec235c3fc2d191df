"""Rollups: resolutions, the watermark, late data, refresh.

Belongs here: which buckets are stale and when they are recomputed. Does not: SQL (sql/), connections (muninn.store).
"""
