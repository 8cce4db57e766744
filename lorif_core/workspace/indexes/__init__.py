"""Indexes: planned, built, opened with their model, and reported on."""
