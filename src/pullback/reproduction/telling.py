"""What the ledger says of a claim, as a chapter of its page."""

import math
from collections.abc import Sequence

import numpy as np

from pullback.geodesics.tally import Tally
from pullback.pages import Block, Chapter, Table
from pullback.pages.wording import count, interval, number
from pullback.reproduction.claim import Numbers
from pullback.reproduction.judgement import Finding
from pullback.reproduction.ledger import Entry

__all__ = ["bound_of", "cost_of", "shown", "table_of", "tell"]


def tell(entry: Entry) -> Chapter:
    """Tell of one claim: what was claimed, how it was measured, and what came of it.

    Example:
        >>> from pullback.reproduction.claim import Claim
        >>> claim = Claim("one", "One is one.", "A. Author", "", "", lambda lab, seed: {}, [])
        >>> tell(Entry(claim, {}, {}, {}, {0: "It broke."}, [])).verdict.label
        'undecided'
    """
    claim = entry.claim
    blocks: list[Block] = [
        f"**Source.** {claim.source}",
        f"**Protocol there.** {claim.protocol}",
        f"**Otherwise here.** {claim.differences}",
    ]
    blocks += [f"Seed {seed} failed: {why}" for seed, why in entry.failures.items()]
    if entry.findings:
        blocks.append(_criteria(entry.findings))
    if entry.runs:
        blocks.append(_numbers(entry))
        seconds = sum(entry.seconds.values()) / len(entry.seconds)
        blocks.append(
            f"A seed took {number(seconds)} s in the mean, and {_work(_mean_cost(entry))}; "
            f"settings: `{entry.settings}`."
        )
    return Chapter(
        claim.key,
        claim.key.replace("-", " ").capitalize(),
        {},
        blocks,
        claim=claim.statement,
        verdict=entry.verdict,
        outcome=_outcome(entry),
    )


def shown(values: Sequence[float]) -> str:
    """Write a number of several seeds: mean and standard deviation.

    Example:
        >>> shown([1.0, 2.0]), shown([3.0]), shown([float("nan")])
        ('1.50 ± 0.707', '3.00', '–')
    """
    if not all(math.isfinite(value) for value in values):
        return "–"
    if len(values) == 1:
        return number(values[0])
    return f"{number(float(np.mean(values)))} ± {number(float(np.std(values, ddof=1)))}"


def table_of(runs: Sequence[Numbers], published: Numbers) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows of what seeds measured, the published numbers below.

    Example:
        >>> table_of([{"ours": {"F": 0.5}}], {"paper": {"F": 0.6}})
        (['', 'F'], [['ours', '0.500'], ['published: paper', '0.600']])
    """
    first = runs[0]
    columns = list(dict.fromkeys(name for row in first.values() for name in row))
    rows = [[row, *(_cell(runs, row, column) for column in columns)] for row in first]
    for row, values in published.items():
        cells = [number(values[c]) if c in values else "" for c in columns]
        rows.append([f"published: {row}", *cells])
    return ["", *columns], rows


def cost_of(entry: Entry) -> str:
    """Write how many geodesics a seed took in the mean: `graph` if only graphs were searched.

    Example:
        >>> from pullback.reproduction.claim import Claim
        >>> claim = Claim("one", "One is one.", "A. Author", "", "", lambda lab, seed: {}, [])
        >>> costs = {0: Tally(n_geodesics=3), 1: Tally(n_geodesics=4)}
        >>> cost_of(Entry(claim, {}, {}, {}, {}, [], costs))
        '4'
    """
    return str(_mean_cost(entry))


def bound_of(finding: Finding) -> str:
    """Write what a criterion asks.

    Example:
        >>> from pullback.reproduction.claim import Criterion
        >>> criterion = Criterion("Positive.", lambda found: 1.0, at_least=0.0, surely=True)
        >>> bound_of(Finding(criterion, [1.0], 1.0, (0.5, 1.5), True))
        'surely ≥ 0'
    """
    criterion = finding.criterion
    sign, bound = (
        ("≥", criterion.at_least) if criterion.at_most is None else ("≤", criterion.at_most)
    )
    assert bound is not None
    return f"{'surely ' if criterion.surely else ''}{sign} {number(bound)}"


def _mean_cost(entry: Entry) -> Tally:
    """Return the mean over the seeds, rounded up: what was needed once is not nothing."""
    costs = entry.costs.values()
    parts = ("n_geodesics", "n_shot", "n_graph")
    means = {part: np.mean([getattr(cost, part) for cost in costs]) for part in parts if costs}
    return Tally(**{part: math.ceil(mean) for part, mean in means.items()})


def _work(cost: Tally) -> str:
    """Write what geodesics a seed took, as the rest of a sentence."""
    asked = [
        f"searched {count(cost.n_geodesics, 'geodesic')}" if cost.n_geodesics else "",
        f"followed {count(cost.n_shot, 'geodesic')} from a velocity" if cost.n_shot else "",
        f"searched a graph from {count(cost.n_graph, 'point')}" if cost.n_graph else "",
    ]
    told = " and ".join(filter(None, asked)) or "searched no geodesic"
    if cost.n_graph and not cost.n_geodesics + cost.n_shot:
        told += ", which gave all distances: no geodesic was searched"
    return told


def _cell(runs: Sequence[Numbers], row: str, column: str) -> str:
    values = [run[row][column] for run in runs if column in run[row]]
    return shown(values) if values else ""


def _criteria(findings: Sequence[Finding]) -> Table:
    rows = [
        [
            finding.criterion.text,
            finding.criterion.published,
            bound_of(finding),
            number(finding.mean),
            _interval(finding),
            {True: "met", False: "not met", None: "undecided"}[finding.met],
        ]
        for finding in findings
    ]
    header = ["", "published", "asked", "mean", "95 % interval", ""]
    return Table(header, rows, "What must be true for the claim to hold.")


def _interval(finding: Finding) -> str:
    low, high = finding.interval
    return interval((low, high), number) if math.isfinite(low) else "–"


def _numbers(entry: Entry) -> Table:
    runs = list(entry.runs.values())
    header, rows = table_of(runs, entry.claim.published)
    spread = ", mean ± standard deviation" if len(runs) > 1 else ""
    return Table(header, rows, f"What {count(len(runs), 'seed')} measured{spread}.")


def _outcome(entry: Entry) -> str:
    if entry.failures:
        return f"{count(len(entry.failures), 'seed')} failed."
    if not entry.findings:
        return "Nothing is claimed; the numbers stand for themselves."
    met, missed, undecided = (
        [finding for finding in entry.findings if finding.met is state]
        for state in (True, False, None)
    )
    text = f"{len(met)} of {len(entry.findings)} criteria met."
    for finding in missed:
        asked = bound_of(finding)
        text += f" Not met: {finding.criterion.text} {number(finding.mean)}, asked {asked}."
    if undecided:
        text += f" {len(undecided)} undecided, for one seed has no interval."
    return text
