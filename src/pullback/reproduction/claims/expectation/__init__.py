"""Claims of what a random metric is, and of what its expectation says of it."""
