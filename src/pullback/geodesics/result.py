"""The answer of a geodesic search: curves, what they measure, and a certificate for each."""

import dataclasses
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pullback.curves import CubicSpline, Curve, Polyline
from pullback.display import drawn, html_table
from pullback.errors import ConvergenceError
from pullback.geodesics.base import Status
from pullback.geodesics.batch import Batch
from pullback.shapes import Mask, Points, Scalars

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GeodesicResult", "through"]


def through(nodes: Points) -> Curve:
    """Lay a curve through nodes: smooth, but on a line, where a spline could turn back.

    Example:
        >>> type(through(torch.zeros(3, 2))).__name__, type(through(torch.zeros(3, 1))).__name__
        ('CubicSpline', 'Polyline')
    """
    return Polyline(nodes) if nodes.shape[-1] == 1 else CubicSpline(nodes)


@dataclass(frozen=True, eq=False)
class GeodesicResult(Batch):
    """Geodesics between pairs of points, each with its own status and certificate.

    Lengths and energies are measured again on the returned curves, on the exact metric and with
    more points than the solver used. `print(result)` shows a table; `result[0]` and `result[:5]`
    are some of the pairs, and a loop goes over all of them.

    Attributes:
        curve: the curves c: [0, 1] -> R^d, at constant speed.
        length: L, shape `(*batch,)`.
        energy: E = 1/2 int |c'|^2 dt, shape `(*batch,)`; 2 E >= L^2, equal at constant speed.
        straight_length: the length of the straight line in the metric that was searched, measured
            with the points of the coarsest level, shape `(*batch,)`.
        lower_bound: no curve can be shorter: the straight line between the images, `(*batch,)`;
            0 for a metric without an immersion.
        residual: the largest geodesic curvature along the curve in units of 1 / L, `(*batch,)`: 0
            for a geodesic, pi for a half-circle in the plane.
        speed_variation: standard deviation of the speed over its mean, shape `(*batch,)`.
        refinement: estimated relative error of L for the number of nodes, shape `(*batch,)`.
        second_variation: 1 where every small change makes the curve longer; 0 where one may not,
            so that there may be another geodesic as short; NaN where it was not looked at (d > 8).
        n_segments: segments of the finest chain that was solved, shape `(*batch,)`.
        n_steps: steps of the solver, over all numbers of nodes, shape `(*batch,)`.
        status: `Status` codes, shape `(*batch,)`.
        start: which of `starts` the curve came from, shape `(*batch,)`.
        start_lengths: how long the curve from each start was on the coarsest level, shape
            `(*batch, n_starts)`; NaN where the search needed no such curve. A start that runs
            beside a shorter one is not followed, but counted with that one's length.
        rival_length: how long, on the coarsest level, the shortest other curve was that a start led
            to, shape `(*batch,)`; NaN where all starts led to the same curve.
        starts: the names of the starts that were tried.

    Example:
        >>> from pullback.geodesics import connect
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 2 * z, dim=2)
        >>> result = connect(flat, torch.zeros(2).double(), torch.tensor([3.0, 4.0]).double())
        >>> result.length.item(), bool(result.converged)
        (10.0, True)
    """

    curve: Curve
    length: Scalars
    energy: Scalars
    straight_length: Scalars
    lower_bound: Scalars
    residual: Scalars
    speed_variation: Scalars
    refinement: Scalars
    second_variation: Scalars
    n_segments: Tensor
    n_steps: Tensor
    status: Tensor
    start: Tensor
    start_lengths: Tensor
    rival_length: Scalars
    starts: tuple[str, ...]

    @property
    def converged(self) -> Mask:
        """Where a geodesic was found, shape `(*batch,)`."""
        return self.status == Status.CONVERGED

    @property
    def conjugate(self) -> Mask:
        """Where the second variation is not positive: another geodesic may be as short."""
        return self.second_variation == 0

    @property
    def ambiguous(self) -> Mask:
        """Where the certificate warns that another curve may be as short, shape `(*batch,)`.

        The second variation is not positive, or a start led to another curve that is longer by less
        than 10 %: the same search from other starts may find a shorter one.
        """
        return self.conjugate | (self.rival_length < (1 + _RIVAL) * self.length)

    @property
    def gain(self) -> Scalars:
        """By what share the curve is shorter than the straight line, shape `(*batch,)`."""
        gain = 1 - self.length / self.straight_length
        return torch.where(self.straight_length > 0, gain, torch.zeros_like(gain))

    @property
    def start_margin(self) -> Scalars:
        """By what share the best start beat the next one, `(*batch,)`; NaN if there was none."""
        ordered = self.start_lengths.nan_to_num(nan=torch.inf).sort(-1).values
        if ordered.shape[-1] < 2:
            return torch.full_like(self.length, torch.nan)
        margin = ordered[..., 1] / ordered[..., 0] - 1
        return torch.where(margin.isfinite(), margin, torch.nan)

    @classmethod
    def cat(cls, results: "list[GeodesicResult]") -> "GeodesicResult":
        """Join results of flat batches, their curves on the finest number of nodes."""
        if len(results) == 1:
            return results[0]
        finest = max(result.curve.nodes.shape[1] for result in results)
        nodes = [
            nodes if nodes.shape[1] == finest else through(nodes).points(finest)
            for nodes in (result.curve.nodes for result in results)
        ]
        starts = tuple(dict.fromkeys(name for result in results for name in result.starts))
        named = [result._with_starts(starts) for result in results]
        kinds = {type(result.curve) for result in results}
        if len(kinds) > 1:  # of several solvers, of which some have their nodes at other times
            nodes = [result.curve.points(finest) for result in results]
        kind = kinds.pop() if len(kinds) == 1 else through
        values = {
            name: torch.cat([getattr(result, name) for result in named])
            for name in results[0]._tensors()
        }
        return results[0].replace(curve=kind(torch.cat(nodes)), starts=starts, **values)

    def _with_starts(self, starts: tuple[str, ...]) -> "GeodesicResult":
        """Return the same results, their starts counted by the places of more names."""
        if self.starts == starts:
            return self
        place = torch.tensor([starts.index(name) for name in self.starts]).to(self.start)
        lengths = self.start_lengths.new_full((*self.start.shape, len(starts)), torch.nan)
        lengths[..., place] = self.start_lengths
        return self.replace(start=place[self.start], start_lengths=lengths, starts=starts)

    def take(self, index: Tensor) -> "GeodesicResult":
        """Return some pairs of a flat batch, by indices `(n,)`."""
        return self._at(index)

    def _at(self, places: Tensor) -> "GeodesicResult":
        n = self.status.ndim
        values = {k: x.reshape(-1, *x.shape[n:])[places] for k, x in self._tensors().items()}
        nodes = self.curve.nodes
        nodes = nodes.reshape(-1, *nodes.shape[-2:])[places]
        return self.replace(curve=type(self.curve)(nodes), **values)

    def following(self, before: "GeodesicResult") -> "GeodesicResult":
        """Return these answers as those of the search that `before` began, for the same pairs."""
        kept = ("start", "start_lengths", "starts", "rival_length", "straight_length")
        known = {name: getattr(before, name) for name in kept}
        return self.replace(n_steps=self.n_steps + before.n_steps, **known)

    def put(self, rows: Tensor, others: "GeodesicResult") -> "GeodesicResult":
        """Return a flat batch with the pairs of some rows `(n,)` replaced by others."""
        kept = torch.ones_like(self.status, dtype=torch.bool).index_fill(0, rows, False)
        rest = kept.nonzero().squeeze(-1)
        order = torch.cat([rest, rows]).argsort()
        return GeodesicResult.cat([self.take(rest), others]).take(order)

    def reshape(self, batch: torch.Size) -> "GeodesicResult":
        """Return the same pairs with batch shape `batch`, from a flat batch."""
        if self.status.shape == batch:
            return self
        values = {
            name: value.reshape((*batch, *value.shape[1:]))
            for name, value in self._tensors().items()
        }
        nodes = self.curve.nodes
        nodes = nodes.reshape((*batch, *nodes.shape[1:]))
        return self.replace(curve=type(self.curve)(nodes), **values)

    def replace(self, **values: Any) -> "GeodesicResult":
        """Return a copy with other values of some attributes."""
        return dataclasses.replace(self, **values)

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with one row for each pair of the flattened batch.

        Returns:
            A data frame: status and start by name, numbers as they are named here.
        """
        import pandas as pd

        numbers = {name: getattr(self, name).detach().flatten().cpu().numpy() for name in _COLUMNS}
        status = [Status(code).name.lower() for code in self.status.flatten().tolist()]
        start = [self.starts[index] for index in self.start.flatten().tolist()]
        return pd.DataFrame({"status": status, **numbers, "start": start})

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def points(self, n: int) -> Points:
        """Evaluate the curves at n equally spaced times: shape `(*batch, n, d)`."""
        return self.curve.points(n)

    def raise_if_failed(self) -> "GeodesicResult":
        """Return the result itself if every pair converged.

        Raises:
            ConvergenceError: some did not; the message says how many, which and why.
        """
        failed = ~self.converged.flatten()
        if bool(failed.any()):
            raise ConvergenceError(
                f"{int(failed.sum())} of {failed.numel()} geodesics were not found: "
                + "; ".join(self._failures())
                + "."
            )
        return self

    def _failures(self) -> list[str]:
        status = self.status.flatten()
        lines = []
        for code in status.unique().tolist():
            if code != Status.CONVERGED:
                lines.append(f"{Status(code).message} (pair {_listed(status == code)})")
        return lines

    def __repr__(self) -> str:
        """Say how many there are; `print` shows the table."""
        n, d = self.length.numel(), self.curve.nodes.shape[-1]
        found = f"{int(self.converged.sum())} of {n} converged"
        return f"GeodesicResult({found}, batch shape {tuple(self.length.shape)}, dim={d})"

    def __str__(self) -> str:
        """Return a table of the pairs, the first twenty if there are more."""
        more = self.length.numel() - _ROWS
        lines = [*self._header(), *_table(self._shown())]
        lines += [f"... and {more} more"] if more > 0 else []
        return "\n".join([*lines, *self._failures()])

    def _repr_html_(self) -> str:
        shown, more = self._shown(), self.length.numel() - _ROWS
        rows = list(enumerate(zip(*shown.values(), strict=True)))
        after = [f"... and {more} more"] if more > 0 else []
        notes = "".join(f"<p>{escape(line)}</p>" for line in [*after, *self._failures()])
        return html_table(
            "; ".join(self._header()),
            [(i, *row) for i, row in rows],
            ["pair", *shown],
            notes + drawn(self.curve.nodes.reshape(-1, *self.curve.nodes.shape[-2:])),
        )

    def _shown(self) -> "dict[str, pd.Series]":
        """Return the columns of the table, as text, of the first pairs."""
        frame = self._at(torch.arange(min(self.length.numel(), _ROWS))).to_frame()
        return {
            "status": frame["status"],
            "length": frame["length"].map("{:.5g}".format),
            "gain %": (100 * frame["gain"]).map("{:.2f}".format),
            "bound": (frame["lower_bound"] / frame["length"]).map("{:.4f}".format),
            "error": frame["refinement"].map("{:.0e}".format),
            "residual": frame["residual"].map("{:.0e}".format),
            "speed": frame["speed_variation"].map("{:.0e}".format),
            "steps": frame["n_steps"].astype(str),
            "start": frame["start"],
            "won by %": (100 * frame["start_margin"]).map("{:.2f}".format).replace("nan", "-"),
        }

    def _header(self) -> list[str]:
        n = self.length.numel()
        header = [f"{int(self.converged.sum())} of {n} geodesics converged"]
        if bool(self.conjugate.any()):
            where = _listed(self.conjugate.flatten())
            header.append(f"another geodesic may be as short: conjugate ends (pair {where})")
        rivalled = self.ambiguous & ~self.conjugate
        if bool(rivalled.any()):
            where = _listed(rivalled.flatten())
            header.append(f"another curve is nearly as short (pair {where})")
        return header


# The most pairs that a printed result lists.
_ROWS = 20
# By which share a rival is longer that makes a curve ambiguous: of curves that missed others on
# narrow decoders and attention (`benchmarks/honesty.py`), by 1 to 6 %, most had one within 9 %.
_RIVAL = 0.1
_COLUMNS = (
    "length",
    "energy",
    "straight_length",
    "gain",
    "lower_bound",
    "residual",
    "speed_variation",
    "refinement",
    "second_variation",
    "n_segments",
    "n_steps",
    "start_margin",
)


def _table(columns: "dict[str, pd.Series]") -> list[str]:
    cells = {name: [name, *map(str, column)] for name, column in columns.items()}
    n_rows = len(next(iter(cells.values())))
    index = ["pair", *map(str, range(n_rows - 1))]
    widths = {name: max(map(len, column)) for name, column in cells.items()}
    return [
        "  ".join([f"{index[i]:>5}", *(f"{cells[name][i]:>{widths[name]}}" for name in cells)])
        for i in range(n_rows)
    ]


def _listed(mask: Tensor) -> str:
    where = mask.nonzero().flatten().tolist()
    return ", ".join(map(str, where[:10])) + (", ..." if len(where) > 10 else "")
