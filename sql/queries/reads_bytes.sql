-- What samples and rollups take on disk.
select store_bytes() as bytes
