-- A detector's memory, in order.
select piece, pieces, saved_us, body from detector_state where detector = %(detector)s order by piece
