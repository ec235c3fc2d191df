"""Long-running programs, their supervisor and the command line: wiring only.

Belongs here: starting, watching and ending processes, and handing each room the next one.
Does not: what a program does (its own room), SQL, formats.
"""
