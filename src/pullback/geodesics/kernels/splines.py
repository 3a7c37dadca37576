"""A table of a metric as kernels read it, and the cubic B-splines around a point."""

from typing import NamedTuple

from pullback.geodesics.kernels.compiled import inlined

__all__ = ["Table", "place"]


class Table(NamedTuple):
    """The grid of a table, beside the coefficients C of its spline.

    C has the shape `(n_1, ..., n_d, components)` and is of double or single precision. The tuples
    are of length d, which so is known when kernels are compiled.

    Attributes:
        low: the lowest corner of the grid.
        high: the highest corner.
        inverse_step: cells in a unit of length, along each axis.
        margin: how near to the edge the table alone does not answer any more.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    inverse_step: tuple[float, ...]
    margin: tuple[float, ...]


@inlined
def place(x, low, inverse_step, n_cells, f, at, order):
    """Return the cell of x, and write the four B-splines around it with their derivatives.

    They go into f, twelve numbers from a place `at`: values, slopes, bends.
    """
    u = (x - low) * inverse_step
    cell = min(max(int(u), 0), n_cells - 1)
    t = u - cell
    s = 1.0 - t
    f[at] = s * s * s / 6
    f[at + 1] = (4 + t * t * (3 * t - 6)) / 6
    f[at + 2] = (4 + s * s * (3 * s - 6)) / 6
    f[at + 3] = t * t * t / 6
    if order > 0:
        h = inverse_step
        f[at + 4] = -0.5 * s * s * h
        f[at + 5] = t * (1.5 * t - 2) * h
        f[at + 6] = -s * (1.5 * s - 2) * h
        f[at + 7] = 0.5 * t * t * h
    if order > 1:
        h = inverse_step * inverse_step
        f[at + 8] = s * h
        f[at + 9] = (3 * t - 2) * h
        f[at + 10] = (3 * s - 2) * h
        f[at + 11] = t * h
    return cell
