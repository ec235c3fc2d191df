import time
def test_x(empty_postgres_url, redis_url):
    import psycopg
    t=time.time()
    print(psycopg.connect(empty_postgres_url).execute("select version(), current_setting('io_method')").fetchone(), redis_url, empty_postgres_url, time.time()-t)
def test_y(empty_postgres_url, redis_url): pass
