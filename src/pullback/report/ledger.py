"""The ledger's word beside the report's: which of its claims is which chapter's."""

from dataclasses import replace

from pullback.pages import Chapter, Verdict
from pullback.pages.verdicts import LedgerVerdict, ledger_verdicts, told_beside

__all__ = ["LEDGER", "beside_ledger", "said_of"]

LEDGER: dict[str, tuple[str, ...]] = {
    "clustering": (
        "clustering-012",
        "clustering-347",
        "clustering-569",
        "clustering-convolutional",
    ),
    "interpolation": ("interpolation",),
    "generation": ("deviation",),
    "density": ("land",),
    "random_walks": ("random-walks", "random-walks-frames"),
    "likelihood": ("likelihood",),
}
"""The claims of the ledger that chapters tell of, by the key of the chapter."""


def said_of(chapter: Chapter, digits: str = "") -> list[LedgerVerdict]:
    """Return what the ledger says of the claim of a chapter.

    Args:
        chapter: the chapter.
        digits: those of the run, such as `"0,1,2"`: if the ledger has a claim of these alone, only
            that one counts.

    Returns:
        What it says; nothing where the chapter claims nothing, does not apply to the run, or has a
        claim that the ledger has not measured.

    Example:
        >>> [one.key for one in said_of(Chapter("likelihood", "", {}, [], verdict=Verdict.HOLDS))]
        ['likelihood']
    """
    if chapter.verdict is Verdict.ABSENT:
        return []
    keys = LEDGER.get(chapter.key, ())
    own = f"{chapter.key}-{digits.replace(',', '')}"
    known = ledger_verdicts()
    return [known[key] for key in ((own,) if own in keys else keys) if key in known]


def beside_ledger(chapter: Chapter, digits: str = "") -> Chapter:
    """Return a chapter that ends with what the ledger says of its claim.

    Args:
        chapter: the chapter.
        digits: those of the run, see `said_of`.

    Example:
        >>> beside_ledger(Chapter("solver", "", {}, [])).blocks
        []
    """
    said = said_of(chapter, digits)
    if not said:
        return chapter
    return replace(chapter, blocks=[*chapter.blocks, told_beside(chapter.verdict, said)])
