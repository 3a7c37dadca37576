"""Metrics of the space that an immersion maps into, and their pull-back."""
