"""Alerts at work: the alerter's loop, sending, the API, rules from files, replay over history.

Belongs here: I/O around muninn.alerting. Does not: what an alert is (alerting), SQL (store), wiring (run).
"""
