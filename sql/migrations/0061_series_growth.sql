-- Growth by time is asked every half minute by each gateway, and on the Cardinality page. Ids grow with time: a BRIN
-- index takes a page for many thousand series.
create index series_created_at on series using brin (created_at) with (pages_per_range = 16);
