"""The standard deviation of the normal likelihood, and how it is fitted."""
