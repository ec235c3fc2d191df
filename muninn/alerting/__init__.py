"""Alerting, pure: rules, their evaluation, and what is told to whom. Frames and `now` are arguments.

Belongs here: what an alert is and when it is told. Does not: I/O, clocks, servers (operations.alerts, store).
"""
