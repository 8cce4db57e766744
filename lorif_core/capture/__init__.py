"""Per-example gradients of a model's tracked modules, from torch hooks."""
