-- Hash of the views and functions that are in place.
select sha256 from schema_renewal
