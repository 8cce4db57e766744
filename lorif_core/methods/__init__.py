"""Attribution methods on one protocol, and the steps they share: shards, fitting, queries, scores."""
