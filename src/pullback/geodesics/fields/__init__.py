"""Distance fields: from one point to all others that a table covers."""
