"""StatsD and DogStatsD over UDP: lines, what becomes of them in a flush interval, the socket."""
