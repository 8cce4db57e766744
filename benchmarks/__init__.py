"""Measurements of the promises in the design: speed, memory, bytes. Run with ``make bench``."""
