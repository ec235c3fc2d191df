-- The columnstore takes chunks a day after their end, when few late rows still come; store_tune() changes that.
select add_compression_policy('scaled_samples', compress_after => interval '24 hours', if_not_exists => true);
