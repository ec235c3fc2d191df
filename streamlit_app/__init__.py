"""The dashboards: pages over muninn.reads. No SQL, no Redis, no arithmetic on samples here."""
