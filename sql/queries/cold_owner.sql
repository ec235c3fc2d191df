-- Which folder of the cold tier is this database's, and up to where days may have been exported.
select owner, epoch_us(announced) as announced_us from cold_tier
