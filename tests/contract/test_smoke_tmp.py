import numpy as np, time
from muninn.store.database import Database
from muninn.store.writer import StoreWriter
from muninn.store import partitions
from muninn.rollups import refresh
from muninn.model import *
import psycopg
def test_smoke(postgres_url):
    with Database(postgres_url) as d:
        print(partitions.ensure_ahead(d, int(time.time()*1e6), 3))
        w=StoreWriter(d)
        n=200_000; now=int(time.time()*1e6)
        keys=tuple(SeriesKey.of("cpu",{"host":f"h{i}"}) for i in range(1000))
        at=now-7200_000_000+np.repeat(np.arange(n//1000)*1_000_000,1000)
        b=SampleBatch(at, np.random.rand(n), np.tile(np.arange(1000,dtype=np.int32),n//1000), keys)
        for k in range(3):
            t=time.time(); print(w.load([BatchHandle("s",f"{k}-0",SampleBatch(b.at_us+k*200_000_000,b.value,b.key_index,keys))]), time.time()-t)
        c=psycopg.connect(postgres_url,autocommit=True)
        for q in ["select count(*) from metrics_1min","select count(*) from metrics_1hour"]:
            t=time.time(); print(q, c.execute(q).fetchall(), time.time()-t)
        print(c.execute("select * from metrics_1hour limit 2").fetchall())
        print(refresh.refresh_fresh(d, now, 15))
        print(c.execute("select * from metrics_1hour limit 2").fetchall())
        print(refresh.refresh_fresh(d, now, 15))
        print(w.load([BatchHandle("s","9-0",SampleBatch.of([(keys[0],now-3600_000_000,5.)]))]))
        print(refresh.refresh_fresh(d, now, 15))
        print(refresh.refresh_window(d, Window(now-3600_000_000*2, now-3600_000_000)))
        print(refresh.state(d))
        for q in ["select count(*) from metrics_1min","select count(*) from metrics_1hour"]:
            t=time.time(); print(q, c.execute(q).fetchall(), time.time()-t)
        print(partitions.drop_expired(d, now+100*86400*10**6, raw_days=10,rollup_1min_days=10,rollup_5min_days=10,rollup_1hour_days=10))
        c.close()
