"""Claims of how geodesics, metrics and means are computed."""
