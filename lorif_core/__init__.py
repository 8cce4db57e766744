"""LoRIF Studio: find the training texts that taught a language model what it says."""
