"""Claims of what stays the same when a model is trained again."""
