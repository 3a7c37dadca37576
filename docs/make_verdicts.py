"""Take the verdicts of the ledger into the package: `python docs/make_verdicts.py`.

`reproduction.md` is the ledger of the last full run, as `pullback reproduce` wrote it. What it says
of each claim goes into `pages/verdicts.json`, from which the report tells it beside its own.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reproduction.md"
DATA = ROOT / "src" / "pullback" / "pages" / "verdicts.json"


def claim(section: str) -> dict[str, str | int]:
    """Read what the ledger says of one claim from its part of the page."""
    key, statement, judged, *rest = section.strip().split("\n\n")
    verdict, outcome = re.fullmatch(r"\*\*(.+?)\.\*\* (.+)", judged).groups()
    (otherwise,) = [part for part in rest if part.startswith("**Otherwise here.** ")]
    seeds = re.search(r"^What (\d+) seeds? measured", section, re.MULTILINE)
    return {
        "key": key.strip("`"),
        "statement": statement,
        "verdict": verdict.lower(),
        "outcome": outcome,
        "protocol": otherwise.removeprefix("**Otherwise here.** "),
        "n_seeds": int(seeds[1]) if seeds else 0,
    }


def document() -> str:
    """Return what `verdicts.json` has to hold."""
    _, *sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    claims = [claim(section) for section in sections]
    return json.dumps({"format": 1, "claims": claims}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DATA.write_text(document(), encoding="utf-8")
