"""The use cases, one function per command; the only place where all layers meet."""
