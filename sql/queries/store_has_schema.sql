-- Whether any migration ran in this schema: others further down the search_path may have a table of that name.
select exists (
  select from pg_class where relname = 'schema_migrations' and relnamespace = current_schema()::regnamespace) as there
