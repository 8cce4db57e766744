"""Uncompressed references: what a stored code is measured against. They keep nothing per example."""
