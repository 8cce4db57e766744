"""Hugging Face causal language models: load them safely, list and choose their modules."""
