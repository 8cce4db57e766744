"""Many failing prompts at once, and groups of texts over a whole data set."""
