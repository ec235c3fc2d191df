"""Pulling Prometheus and OpenMetrics text from targets: what they are, when they are asked, what their text says."""
