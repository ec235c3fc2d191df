"""What stands between the decoders and the buffer: rules at the door, and limits on how many series there may be.

Belongs here: verdicts over series, each made once, when a series is first seen. Does not: formats, samples' values.
"""
