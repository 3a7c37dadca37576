"""A claim of a paper: what is claimed, how it is measured here, and what would bear it out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pullback.errors import InvalidParameterError

__all__ = ["Claim", "Criterion", "Numbers"]

Numbers = Mapping[str, Mapping[str, float]]
"""What one seed measured: a table, by row and by column."""


@dataclass(frozen=True)
class Criterion:
    """One thing that must be true for a claim to hold.

    Attributes:
        text: what must be true, in one sentence.
        value: reads the number that decides from the table of one seed.
        at_least: the least that its mean over the seeds may be; None where `at_most` is given.
        at_most: the most that it may be.
        surely: whether the whole 95 % interval of the mean must lie there, not the mean alone: for
            claims of a sign, where a mean may be positive by chance.
        published: the published number, as text; empty if the source gives none.

    Raises:
        InvalidParameterError: none or both of the bounds are given.

    Example:
        >>> Criterion("It is positive.", lambda found: found["ours"]["gain"], at_least=0.0).at_most
    """

    text: str
    value: Callable[[Numbers], float]
    at_least: float | None = None
    at_most: float | None = None
    surely: bool = False
    published: str = ""

    def __post_init__(self) -> None:
        """Refuse a criterion that would be met always, or twice."""
        if (self.at_least is None) == (self.at_most is None):
            given = f"{self.at_least} and {self.at_most}"
            raise InvalidParameterError("at_least", "given where `at_most` is not", given)


@dataclass(frozen=True)
class Claim:
    """A claim, and how it is measured.

    Attributes:
        key: its name in files and on the command line.
        statement: what is claimed, in one sentence.
        source: authors, title, year, and where in it.
        protocol: how the source measured it.
        differences: what is measured otherwise here, and why.
        measure: `measure(lab, seed, **settings)` returns the table of one seed; the same numbers
            for the same arguments. `lab` is a `Lab`.
        criteria: what must be true for the claim to hold.
        settings: the arguments of a full run.
        quick: those that are smaller in a smoke run.
        published: the table of the source, shown beside ours.

    Example:
        >>> claim = Claim("one", "One is one.", "", "", "", lambda lab, seed, n: {"a": {"b": n}},
        ...               [], settings={"n": 100}, quick={"n": 1})
        >>> claim.settings_of(quick=True)
        {'n': 1}
    """

    key: str
    statement: str
    source: str
    protocol: str
    differences: str
    measure: Callable[..., Numbers]
    criteria: Sequence[Criterion]
    settings: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    published: Numbers = field(default_factory=dict)

    def settings_of(self, *, quick: bool) -> dict[str, Any]:
        """Return the arguments of `measure` for a full or a smoke run."""
        return {**self.settings, **(self.quick if quick else {})}
