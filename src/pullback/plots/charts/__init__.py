"""Charts: numbers against numbers."""
