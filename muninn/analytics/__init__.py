"""The cold tier and analysts' access: Parquet files, DuckDB and Polars. The only place that knows duckdb."""
