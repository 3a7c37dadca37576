"""The initial value problem: geodesics from a point with a velocity."""
