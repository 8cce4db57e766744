"""From a person's files to batches of token ids: read, check, give stable ids, tokenise."""
