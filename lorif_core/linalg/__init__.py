"""The mathematics: tensors in, tensors out; no files, logging, settings or models."""
