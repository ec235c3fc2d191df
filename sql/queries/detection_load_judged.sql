-- Up to when a detector has judged, and told of it.
select judged_us from detector_progress where detector = %(detector)s
