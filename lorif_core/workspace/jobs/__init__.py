"""Long work in processes of its own: requests, kinds, workers."""
