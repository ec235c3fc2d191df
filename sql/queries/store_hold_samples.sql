-- Before a load reads the raw rows of these instants: the locks with which it will write there (025_samples).
select store_hold_samples(%(at_us)s::int8[])
