"""The claims of Chen and others, "Metrics for deep generative models" (2018), of what moves."""
