"""Questions and what they bring back: ranked texts, comparisons, values."""
