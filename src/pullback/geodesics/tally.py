"""How many geodesics were found while a context lasted, and by which means."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Tally", "counted", "note"]


@dataclass
class Tally:
    """What was asked of the searches for geodesics.

    Attributes:
        n_geodesics: pairs of points between which a geodesic was searched, whether or not the
            search converged; a pair that is asked for twice counts twice.
        n_shot: geodesics that were followed from a point and a velocity by `shoot`. Those that
            solvers by shooting follow belong to their search, and those of random walks to a step.
        n_graph: searches of a graph, each from one point to all nodes. Those that only make a
            start for a geodesic belong to its search.

    Example:
        >>> str(Tally(n_geodesics=3)), str(Tally(n_graph=2)), str(Tally())
        ('3', 'graph', '–')
    """

    n_geodesics: int = 0
    n_shot: int = 0
    n_graph: int = 0

    def __str__(self) -> str:
        """Write the number of geodesics, or what stands in their place."""
        if n := self.n_geodesics + self.n_shot:
            return str(n)
        return "graph" if self.n_graph else "–"


_OPEN: ContextVar[tuple[Tally, ...]] = ContextVar("open_tallies", default=())


@contextmanager
def counted() -> Iterator[Tally]:
    """Count what is asked in this thread while the context lasts; contexts may be nested.

    Example:
        >>> with counted() as outer:
        ...     note(geodesics=1)
        ...     with counted() as inner:
        ...         note(geodesics=2)
        >>> outer.n_geodesics, inner.n_geodesics
        (3, 2)
    """
    tally = Tally()
    token = _OPEN.set((*_OPEN.get(), tally))
    try:
        yield tally
    finally:
        _OPEN.reset(token)


def note(*, geodesics: int = 0, shot: int = 0, graph: int = 0) -> None:
    """Add to all counts that are open here.

    Args:
        geodesics: pairs between which a geodesic is searched.
        shot: geodesics that are followed from where they begin.
        graph: searches of a graph from one point each.

    Example:
        >>> with counted() as tally:
        ...     note(geodesics=2)
        >>> tally
        Tally(n_geodesics=2, n_shot=0, n_graph=0)
    """
    for tally in _OPEN.get():
        tally.n_geodesics += geodesics
        tally.n_shot += shot
        tally.n_graph += graph
