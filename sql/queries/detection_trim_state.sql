-- Drop the pieces that are beyond the ones just saved.
delete from detector_state where detector = %(detector)s and piece >= %(pieces)s
