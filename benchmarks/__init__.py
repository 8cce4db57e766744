"""Measurements of the promises of docs/explanation/design.md §5: speed, memory, bytes. Run with ``make bench``."""
