-- Keep one piece of a detector's memory.
insert into detector_state (detector, piece, pieces, saved_us, body)
values (%(detector)s, %(piece)s, %(pieces)s, %(saved_us)s, %(body)s)
on conflict (detector, piece) do update set
  pieces = excluded.pieces, saved_us = excluded.saved_us, body = excluded.body
