"""One pass over texts or shards, the same for every method."""
