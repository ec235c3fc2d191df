-- A detector has judged up to an instant, and told of it; it never goes back.
insert into detector_progress (detector, judged_us) values (%(detector)s, %(judged_us)s)
on conflict (detector) do update set judged_us = greatest(detector_progress.judged_us, excluded.judged_us)
