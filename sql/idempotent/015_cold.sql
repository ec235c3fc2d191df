-- Metrics that are filed together in the cold tier: those whose names begin with the same word. Readers look for a
-- series under what this gives: whoever changes it has to export every day again.
create or replace function cold_group(metric_name text) returns text
language sql immutable parallel safe as
$$ select coalesce(left(substring(lower(metric_name) from '^[a-z0-9]+'), 40), 'other') $$;
