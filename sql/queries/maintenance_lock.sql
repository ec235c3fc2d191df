-- Changes of maintenance windows come one after the other until this transaction ends.
lock table maintenance_windows in share row exclusive mode
