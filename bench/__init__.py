"""Measurements of Muninn: each module has `run() -> dict` of figures; `python -m bench` prints and keeps them.

Nothing here asserts a time. Figures are given as ratios within one run where there is something to divide by.
"""
