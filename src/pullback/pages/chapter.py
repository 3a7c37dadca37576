"""What a report is made of: chapters with a claim, its verdict, numbers, pictures and tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from matplotlib.axes import Axes

__all__ = ["Block", "Chapter", "Picture", "Pictures", "Table", "Verdict"]


class Verdict(Enum):
    """Whether the numbers of a run bear a claim out.

    Example:
        >>> Verdict.of_interval(0.1, 0.3), Verdict.of_interval(-0.1, 0.3).label
        (<Verdict.HOLDS: 'holds'>, 'undecided')
    """

    HOLDS = "holds"
    FAILS = "does not hold here"
    OPEN = "undecided"
    ABSENT = "not applicable"
    REPRODUCED = "reproduced"
    PARTLY = "partly reproduced"
    NOT_REPRODUCED = "not reproduced"

    @property
    def label(self) -> str:
        """The verdict in words."""
        return self.value

    @classmethod
    def of_interval(cls, low: float, high: float) -> "Verdict":
        """Judge a claimed gain > 0 by an interval around the one that was measured."""
        if low > 0:
            return cls.HOLDS
        return cls.FAILS if high < 0 else cls.OPEN


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: the name of its file, without the ending.
        draw: draws it; it is called once for each theme.
        alt: what it shows, for those who cannot see it.
        caption: what to look at.

    Example:
        >>> Picture("empty", lambda: None, "nothing", "An empty picture.").name
        'empty'
    """

    name: str
    draw: Callable[[], Axes]
    alt: str
    caption: str


@dataclass(frozen=True)
class Pictures:
    """Pictures to be compared: side by side where there is room.

    Example:
        >>> Pictures([]).pictures
        []
    """

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Table:
    """A table, its first column the names of the rows.

    Attributes:
        header: the names of the columns.
        rows: the cells, as text.
        caption: what it shows.
        numeric: whether the cells are numbers, to be aligned on their right.

    Example:
        >>> Table(["", "F1"], [["Euclidean", "0.80"]]).caption
        ''
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: bool = True


Block = str | Picture | Pictures | Table
"""A paragraph, with code between back-ticks; a picture; pictures side by side; a table."""


@dataclass(frozen=True)
class Chapter:
    """One step of the story.

    Attributes:
        key: its name in `metrics.json`, and its anchor in the page.
        title: its heading.
        numbers: what was measured, ready for JSON.
        blocks: what is shown.
        claim: what is claimed, in one sentence; empty where nothing is.
        verdict: whether the numbers bear it out.
        outcome: the numbers that decide, in one sentence.

    Example:
        >>> Chapter.absent("triplets", "Triplets", "Labels matter.", "There are none.").numbers
        {'applies': False, 'why': 'There are none.'}
    """

    key: str
    title: str
    numbers: dict[str, Any]
    blocks: Sequence[Block]
    claim: str = ""
    verdict: Verdict = Verdict.ABSENT
    outcome: str = ""
    seconds: float = field(default=0.0, compare=False)

    @classmethod
    def absent(cls, key: str, title: str, claim: str, why: str) -> "Chapter":
        """Return a chapter that says why it does not apply to this run."""
        return cls(key, title, {"applies": False, "why": why}, [why], claim=claim, outcome=why)
