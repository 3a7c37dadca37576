"""Rows of a matrix of distances: from one point to many, by the ways down a field."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from pullback.geodesics.fields.descents import NODES, descend
from pullback.geodesics.fields.grid import grid_over
from pullback.geodesics.fields.refinement import lengths_of
from pullback.geodesics.fields.spreading import spread
from pullback.geodesics.kernels.table_search import table_search
from pullback.geodesics.tally import note
from pullback.metrics import Metric, TabulatedMetric
from pullback.progress import progress_bar
from pullback.shapes import Codes, Latent, Points

__all__ = ["measure_rows", "table_to_march", "ways_between"]

# Targets of one source from which on a field is cheaper than compiled searches. On a decoder of
# digits a field takes 15 ms and a length from the way down it 50 us, a search from a straight line
# and a coarse path 280 us: as long with 65 targets. By judgement some more, for the grid that all
# fields of a table share has to be laid first.
_TARGETS = 100
# Cells of the field along each axis. With 96 of them 30 of 3992 geodesics between codes of digits
# were more than 0.1 % too long, with 128 there were 15.
_CELLS = 128
# Ways that are held at once, of 65 nodes each: 2 MB, as of a field's `to`.
_BLOCK = 2048


def table_to_march(metric: Metric, n_targets: int) -> TabulatedMetric | None:
    """Return the metric if fields on it are the cheaper way from a point to so many; else None.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> table_to_march(HalfPlane(), 10_000) is None  # it is no table
        True
    """
    if not isinstance(metric, TabulatedMetric) or len(metric.low) != 2:
        return None
    return metric if n_targets >= _TARGETS and table_search(metric) is not None else None


def measure_rows(
    table: TabulatedMetric, sources: Codes, targets: Iterable[Tensor], *, progress: bool = False
) -> Iterator[Tensor]:
    """Measure from each source to targets of its own, some sources at once in threads.

    Targets are asked for, and rows given, as they come: no more are held than there are threads.

    Args:
        table: the table, d = 2.
        sources: points, shape `(n, d)`.
        targets: for each source points `(k, d)`.
        progress: show a bar.

    Yields:
        For each source the lengths of geodesics, shape `(k,)`: NaN where none was found, as to
        points that the table does not cover.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> codes = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), codes)
        >>> list(measure_rows(table, codes[:1], [9 * codes]))  # beyond the table
        [tensor([nan, nan], dtype=torch.float64)]
    """
    n_threads = torch.get_num_threads()
    blocks = range(0, len(sources), n_threads)  # short ones: between two of them Ctrl-C is answered
    coming = iter(targets)
    with ThreadPoolExecutor(n_threads) as pool:
        for k in progress_bar(blocks, "distances", disable=not progress, leave=False):
            some = list(islice(coming, n_threads))
            rows = pool.map(lambda a, b: _row(table, a, b), sources[k : k + n_threads], some)
            for row in rows:
                # Those that were not found are searched, and counted, elsewhere.
                note(geodesics=int((~row.isnan()).sum()))
                yield row


def ways_between(table: TabulatedMetric, point_a: Codes, point_b: Codes) -> Points:
    """Follow fields down to each a that many b belong to: curves near geodesics, to search from.

    Args:
        table: the table, d = 2.
        point_a: where the curves begin, shape `(n, 2)`: a few points, each many times.
        point_b: where they end, shape `(n, 2)`.

    Returns:
        Nodes, shape `(n, 65, 2)`: NaN where a field is not the cheaper way, and beyond the table.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> codes = torch.tensor([[-1.0, 0.7], [1.0, 2.5]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), codes)
        >>> ways_between(table, codes, codes).isnan().all()  # too few
        tensor(True)
    """
    ways = point_b.new_full((len(point_b), NODES, point_b.shape[1]), torch.nan)
    sources, source_of = point_a.unique(dim=0, return_inverse=True)
    inside = table.covers(point_b)
    for k, source in enumerate(sources):
        rows = (inside & (source_of == k)).nonzero().squeeze(-1)
        if len(rows) >= _TARGETS and bool(table.covers(source)):
            found = spread(table, grid_over(table, _CELLS), source.detach().double())
            ways[rows] = descend(found, point_b[rows].detach().double())[0].to(ways)
    return ways


def _row(table: TabulatedMetric, source: Latent, targets: Codes) -> Tensor:
    lengths = torch.full_like(targets[:, 0], torch.nan)
    inside = table.covers(targets)
    if bool(table.covers(source)) and bool(inside.any()):
        z = targets[inside].detach().double()
        found = spread(table, grid_over(table, _CELLS), source.detach().double())
        blocks = [lengths_of(table, descend(found, block)[0]) for block in z.split(_BLOCK)]
        lengths[inside] = torch.cat(blocks).to(lengths)
    return lengths
