"""Muninn: performance monitoring over SQL, from the sample at the door to the picture on the wall."""

__version__ = "0.1.0"
