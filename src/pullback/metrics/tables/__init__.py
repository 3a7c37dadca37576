"""Tables of a metric, which stand in for it."""
