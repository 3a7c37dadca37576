"""Writing the ledger down: numbers for machines, a page and a text for people."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pullback.files import atomic_write
from pullback.pages import Block, Chapter, Table, page
from pullback.pages.wording import to_json
from pullback.reproduction.ledger import Entry
from pullback.reproduction.telling import cost_of, tell
from pullback.version import __version__

__all__ = ["write"]

_TITLE = "The ledger of claims"
_LEAD = (
    "Every claim below was made in a paper, and is measured again here by `pullback reproduce`: "
    "its protocol, what differs and why, the published number, ours with its spread over the "
    "seeds, and whether it holds. A claim that does not hold stays here.",
)


def write(entries: Sequence[Entry], folder: Path, *, quick: bool, command: str) -> None:
    """Write `results.json`, `results.csv`, `timings.json`, `ledger.md` and `ledger.html`.

    All but the timings, and what the page and the text say of them, are the same byte by byte when
    the same is measured again.

    Args:
        entries: what was measured.
        folder: where to.
        quick: whether it was a smoke run, which the page says.
        command: the command that makes it again.

    Raises:
        StorageError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write([], Path(folder), quick=False, command="pullback reproduce --out ledger")
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['ledger.html', 'ledger.md', 'results.csv', 'results.json', 'timings.json']
    """
    chapters = [tell(entry) for entry in entries]
    lead = [*_LEAD, f"Made by `{command}`, pullback {__version__}."]
    if quick:
        lead.append("**A smoke run**: small settings, whose verdicts say nothing of the claims.")
    files = {
        "results.json": _json({"format": 1, "version": __version__, "quick": quick}
                              | {"claims": [_document(entry) for entry in entries]}),
        "timings.json": _json({"seconds": {e.claim.key: dict(e.seconds) for e in entries}}),
        "results.csv": _csv(entries),
        "ledger.md": "\n\n".join(_markdown(lead, entries, chapters)) + "\n",
        "ledger.html": page(_TITLE, lead, chapters, {}),
    }  # fmt: skip
    for name, text in files.items():
        atomic_write(folder / name, text.encode())


def _json(document: dict[str, Any]) -> str:
    return json.dumps(to_json(document), indent=1, allow_nan=False)


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.claim.key,
        "statement": entry.claim.statement,
        "verdict": entry.verdict.label,
        "settings": dict(entry.settings),
        "criteria": [
            {
                "text": finding.criterion.text,
                "published": finding.criterion.published,
                "at_least": finding.criterion.at_least,
                "at_most": finding.criterion.at_most,
                "surely": finding.criterion.surely,
                "values": list(finding.values),
                "mean": finding.mean,
                "interval": finding.interval,
                "met": finding.met,
            }
            for finding in entry.findings
        ],
        "published": entry.claim.published,
        "runs": entry.runs,
        "cost": {seed: asdict(cost) for seed, cost in entry.costs.items()},
        "failures": entry.failures,
    }


def _csv(entries: Sequence[Entry]) -> str:
    """Return one line for each number, those of the cost in a row of that name."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["claim", "seed", "row", "column", "value"])
    for entry in entries:
        for seed, run in entry.runs.items():
            for row, columns in run.items():
                for column, value in columns.items():
                    table.writerow([entry.claim.key, seed, row, column, repr(value)])
            for column, value in asdict(entry.costs[seed]).items():
                table.writerow([entry.claim.key, seed, "cost", column, repr(value)])
    return file.getvalue()


def _markdown(
    lead: Sequence[str], entries: Sequence[Entry], chapters: Sequence[Chapter]
) -> Iterator[str]:
    """Yield the paragraphs of the text."""
    yield f"# {_TITLE}"
    yield from lead
    rows = [[f"`{e.claim.key}`", e.claim.statement, e.verdict.label, cost_of(e)] for e in entries]
    yield _table(["claim", "", "verdict", "geodesics a seed"], rows)
    for chapter in chapters:
        yield f"## `{chapter.key}`"
        yield chapter.claim
        yield f"**{chapter.verdict.label.capitalize()}.** {chapter.outcome}"
        yield from map(_paragraph, chapter.blocks)


def _paragraph(block: Block) -> str:
    if isinstance(block, Table):
        return f"{block.caption}\n\n{_table(block.header, block.rows)}"
    assert isinstance(block, str)  # a ledger has no pictures
    return block


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
