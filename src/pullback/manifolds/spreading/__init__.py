"""How geodesics from a point spread: Jacobi fields, conjugate points, balls."""
