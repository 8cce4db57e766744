"""Gradients as a by-product of somebody's training: the run, its rows, and the index that they become."""
