-- Every partition with its bounds, estimated rows and bytes with indexes.
select table_name, partition, epoch_us(since) as since_us, epoch_us(until) as until_us, rows_estimate, bytes
from store_partitions()
