"""An index's tensors on disk: shards of coded gradients, a subspace per module, a manifest."""
