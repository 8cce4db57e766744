"""From evidence to a curated data set: decisions, reviews, what-ifs, versions, exports."""
