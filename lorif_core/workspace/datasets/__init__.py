"""Data sets: brought in, looked at, searched."""
