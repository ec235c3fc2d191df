"""PostgreSQL and TimescaleDB: pool, migrations, COPY writer, partitions. The only room that knows psycopg.

Belongs here: how rows lie on disk and how they get there. Does not: rollups (muninn.rollups), questions (muninn.reads).
"""
