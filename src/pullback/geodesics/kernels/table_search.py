"""Curves for pairs of points on a table, found by compiled kernels: what PyTorch sees of them."""

import importlib
import importlib.util
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pullback.exclusive import exclusive
from pullback.metrics import Metric, TabulatedMetric
from pullback.shapes import Codes, Mask, Points, Scalars

__all__ = ["CurvesOnTable", "TableSearch", "table_search"]

_BLOCK = 256  # pairs that one thread solves at a time, in about 40 ms: then Ctrl-C is answered
_SOURCES = 128  # nodes whose shortest paths are found at a time, in about 40 ms
# Nodes of the coarse grid along each axis: all paths on it take 0.6 CPU s and 32 MB in the plane.
_SIZE = {1: 2, 2: 48, 3: 12}
# Steps along an axis that an edge of the grid takes at most. In the plane paths are too long by up
# to 2.7 % with 2 and 1.3 % with 3, which decides between ways about as long.
_REACH = {1: 1, 2: 3, 3: 1}
_SEEN, _STEPS, _EXCESS = 1e-3, 1e-4, 1e-7  # see `room.Settings`


class CurvesOnTable(NamedTuple):
    """Curves that were found on a table, and what is known of them there.

    Attributes:
        nodes: nodes at equal distances, shape `(n, FINEST + 1, d)`, of which the first
            `n_segments + 1` count.
        n_segments: shape `(n,)`.
        length: length on the table, shape `(n,)`.
        mismatch: estimated relative error of it for few nodes, shape `(n,)`.
        excess: estimated relative error of it for not being a geodesic, shape `(n,)`.
        residual: geodesic curvature in units of 1 / length, shape `(n,)`.
        minimal: where the second variation is positive, shape `(n,)`.
        straight_length: of the straight line, on the coarsest level, shape `(n,)`.
        rival_length: of the shortest other curve, on the coarsest level, shape `(n,)`, or NaN.
        start_lengths: of the curve from each start, on the coarsest level, `(n, starts)`, or NaN.
        start: the start that won, shape `(n,)`.
        n_steps: steps of Newton's method, shape `(n,)`.
        resolved: where the search came to its end on the table alone, shape `(n,)`: elsewhere the
            other numbers mean nothing.

    Example:
        >>> CurvesOnTable._fields[:3]
        ('nodes', 'n_segments', 'length')
    """

    nodes: Points
    n_segments: Tensor
    length: Scalars
    mismatch: Scalars
    excess: Scalars
    residual: Scalars
    minimal: Mask
    straight_length: Scalars
    rival_length: Scalars
    start_lengths: Tensor
    start: Tensor
    n_steps: Tensor
    resolved: Mask

    def take(self, rows: Tensor) -> "CurvesOnTable":
        """Return some of the curves, by indices `(k,)`."""
        return CurvesOnTable(*(part[rows] for part in self))

    def evenly(self, n_nodes: int) -> Points:
        """Take n nodes of each curve at equal distances, n - 1 a divisor of all `n_segments`."""
        step = (self.n_segments // (n_nodes - 1)).unsqueeze(-1)
        row = torch.arange(len(self.nodes)).unsqueeze(-1)
        return self.nodes[row, step * torch.arange(n_nodes)]


def table_search(metric: Metric) -> "TableSearch | None":
    """Return the compiled search on a table; None for other metrics, or where it cannot run.

    It runs on the CPU, and where numba is installed (`pip install pullback[fast]`).

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> table_search(HalfPlane()) is None
        True
    """
    if not isinstance(metric, TabulatedMetric) or metric.low.device.type != "cpu":
        return None
    if not _has_numba():
        return None
    with exclusive():
        known = _searches.get(metric)
        if known is None:
            known = _searches[metric] = TableSearch(metric)
    return known


class TableSearch:
    """The search for geodesics on one table. Threads may use one at the same time.

    It runs in as many threads as PyTorch does, and those hold no lock of Python's.

    Args:
        table: the table, on the CPU.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> ends = torch.tensor([[[0.0, 1.0]], [[0.0, 2.0]]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), ends[:, 0], rtol=1e-4)
        >>> TableSearch(table).find(*ends).length.round(decimals=4)  # log 2
        tensor([0.6931], dtype=torch.float64)
    """

    def __init__(self, table: TabulatedMetric) -> None:
        from pullback.geodesics.kernels.entries import SEARCH

        self._entries: Any = SEARCH
        coefficients, low, high, margin = table.spline_parts
        self._coefficients = np.ascontiguousarray(coefficients.movedim(0, -1).numpy())
        inverse_step = (torch.tensor(coefficients.shape[1:]) - 3) / (high - low)
        parts = (low, high, inverse_step, margin)
        self._table = tuple(tuple(part.double().tolist()) for part in parts)  # as of `Table`
        self._lock = threading.Lock()
        self._grid: Any = None
        self._paths: Any = None
        self._known: Any = None
        self._places: Any = None

    def find(
        self, point_a: Codes, point_b: Codes, *, rtol: float = 1e-4, only_straight: bool = False
    ) -> CurvesOnTable:
        """Find curves between pairs of points `(n, d)`, as many at once as there are threads.

        Args:
            point_a: start points, shape `(n, d)`.
            point_b: end points, shape `(n, d)`.
            rtol: the relative error that lengths on the table are to keep to.
            only_straight: start from the straight line alone, and not from a path on a grid too.

        Returns:
            A curve for each pair.
        """
        from pullback.geodesics.kernels import room

        n, d = point_a.shape
        ends = torch.stack([point_a, point_b], 1).detach().double().contiguous().numpy()
        n_starts = 1 if only_straight or d == 1 else room.N_STARTS
        with self._lock:
            self._measure_grid()
        last = self._places.nearest(ends[:, 1])
        if n_starts > 1:
            self._trace(np.append(self._places.around(ends[:, 0]), last))
        answers = (
            np.zeros((n, room.FINEST + 1, d)),
            np.zeros((n, 7 + n_starts)),
            np.zeros((n, 4), np.int64),
        )
        limits = min(_STEPS, rtol), min(_SEEN, 10 * rtol), _EXCESS
        settings = (room.STARTED // 2, room.FINEST, *limits)

        def solve(block: slice) -> None:
            part = tuple(array[block] for array in answers)
            self._entries.search(
                self._coefficients,
                self._table,
                self._grid,
                self._paths,
                ends[block],
                last[block],
                n_starts,
                settings,
                part,
            )

        _in_threads(solve, n, _BLOCK)
        return _read(answers)

    def prepare(self, points: Codes) -> None:
        """Find the shortest paths on the grid from around points `(n, d)`, where still unknown."""
        with self._lock:
            self._measure_grid()
        self._trace(self._places.around(points.detach().double().numpy()))

    def excess(self, nodes: Points, energy: Scalars, force: Tensor) -> Scalars:
        """Estimate how far chains lie above geodesics of another metric, by that metric's forces.

        Args:
            nodes: chains, shape `(n, nodes, d)`.
            energy: sums of their squared chords on the other metric, shape `(n,)`.
            force: their gradients at the inner nodes, shape `(n, nodes - 2, d)`.

        Returns:
            The share of the energy that the table's Hessian lets be gained, shape `(n,)`: NaN where
            a chain leaves the table, or is not the shortest near by.
        """
        chains, energies, forces = (
            part.detach().double().contiguous().numpy() for part in (nodes, energy, force)
        )
        found = np.zeros(len(chains))

        def estimate(block: slice) -> None:
            parts = (array[block] for array in (chains, energies, forces, found))
            self._entries.excesses(self._coefficients, self._table, *parts)

        _in_threads(estimate, len(chains), _BLOCK)
        return torch.from_numpy(found)

    def _trace(self, sources: Any) -> None:
        """Find the shortest paths on the grid from some nodes, where still unknown."""
        if self._known[sources].all():  # what is marked stays so: it needs no lock to be read
            return
        with self._lock:
            wanted = np.unique(sources)
            wanted = wanted[~self._known[wanted]]

            def trace(block: slice) -> None:
                self._entries.trace_rows(self._grid, wanted[block], self._paths)

            _in_threads(trace, len(wanted), _SOURCES)
            self._known[wanted] = True

    def _measure_grid(self) -> None:
        if self._grid is None:
            grid, self._paths = self._new_grid()
            self._entries.measure_edges(self._coefficients, self._table, grid)
            self._known = np.zeros(len(self._paths[0]), bool)
            self._places = _Places.of(*grid[:4])
            self._grid = grid

    def _new_grid(self) -> tuple[Any, Any]:
        """Return a grid as of `coarse.Grid` and room for paths as of `coarse.Paths`."""
        low, high, _, margin = map(np.array, self._table)
        d, low, high = len(low), low + margin, high - margin
        # A little inside, where the table covers what rounding makes of the outermost nodes.
        low, high = low + 1e-9 * (high - low), high - 1e-9 * (high - low)
        size = _SIZE[d]
        offset = _offsets(d, _REACH[d])
        n = size**d
        grid = (
            tuple(map(float, low)),
            tuple(map(float, (high - low) / (size - 1))),
            (size,) * d,
            tuple(size ** (d - 1 - a) for a in range(d)),
            offset,
            np.empty((n, len(offset))),
        )
        return grid, (np.empty((n, n), np.float32), np.empty((n, n), np.int16))


class _Places(NamedTuple):
    """What tells the nodes of the grid near to points, made once: it is asked for each pair."""

    low: Any
    step: Any
    most: Any  # the number of the last node along each axis
    stride: Any
    corner: Any  # what the corners of a cell add to the number of its first node

    @classmethod
    def of(cls, low: Any, step: Any, size: Any, stride: Any) -> "_Places":
        corner = np.stack(np.meshgrid(*[[0, 1]] * len(low), indexing="ij"), -1)
        stride = np.array(stride)
        return cls(
            np.array(low),
            np.array(step),
            np.array(size) - 1,
            stride,
            corner.reshape(-1, len(low)) @ stride,
        )

    def around(self, points: Any) -> Any:
        """The numbers of the nodes around points `(n, d)`."""
        cell = ((points - self.low) / self.step).astype(np.int64)
        cell = np.minimum(np.maximum(cell, 0), self.most - 1)
        return (cell @ self.stride)[:, None] + self.corner

    def nearest(self, points: Any) -> Any:
        """The numbers of the nodes nearest to points `(n, d)`, in steps of the grid."""
        at = np.rint((points - self.low) / self.step).astype(np.int64)
        return np.minimum(np.maximum(at, 0), self.most) @ self.stride


_searches: "weakref.WeakKeyDictionary[Metric, TableSearch]" = weakref.WeakKeyDictionary()


@cache
def _has_numba() -> bool:
    if importlib.util.find_spec("numba") is None:
        return False
    importlib.import_module("numba")
    return True


def _offsets(d: int, reach: int) -> Any:
    """Steps to near nodes, none of which is a multiple of another."""
    axes = np.meshgrid(*[np.arange(-reach, reach + 1)] * d, indexing="ij")
    steps = np.stack([axis.ravel() for axis in axes], -1)
    return steps[np.gcd.reduce(steps, axis=1) == 1]


def _in_threads(work: Any, n: int, size: int) -> None:
    """Do n pieces of work in blocks, in as many threads as PyTorch computes with."""
    blocks = [slice(k, min(k + size, n)) for k in range(0, n, size)]
    n_threads = min(torch.get_num_threads(), len(blocks))
    if n_threads < 2:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        tasks = [pool.submit(work, block) for block in blocks]
        try:
            for task in tasks:
                task.result()
        except BaseException:  # also Ctrl-C: what has not begun does not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _read(answers: Any) -> CurvesOnTable:
    nodes, numbers, counts = map(torch.from_numpy, answers)
    length, mismatch, excess, residual, minimal, straight, rival = numbers[:, :7].unbind(1)
    segments, steps, start, done = counts.unbind(1)
    return CurvesOnTable(
        nodes=nodes,
        n_segments=segments,
        length=length,
        mismatch=mismatch,
        excess=excess,
        residual=residual,
        minimal=minimal == 1,
        straight_length=straight,
        rival_length=rival,
        start_lengths=numbers[:, 7:],
        start=start,
        n_steps=steps,
        resolved=done == 1,
    )
