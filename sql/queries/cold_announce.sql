-- Announce that days before this instant may be exported; it never goes back. Loads from now on note what they change there.
update cold_tier set announced = greatest(announced, instant(%(until_us)s::int8))
