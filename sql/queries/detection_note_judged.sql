-- A detector has judged up to an instant, and told of it; it never goes back, but for one that has not come yet.
insert into detector_progress (detector, judged_us) values (%(detector)s, %(judged_us)s)
on conflict (detector) do update
set judged_us = greatest(least(detector_progress.judged_us, epoch_us(now())), excluded.judged_us)
