"""What the ledger said of the claims when it was last published, for pages that tell of the same.

The report is made of one run, and the ledger of several seeds under protocols of its own; each
knows nothing of the other's code. What `docs/reproduction.md` says is kept in a file here, which
`python docs/make_verdicts.py` makes of that page.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pullback.pages.chapter import Verdict
from pullback.pages.wording import count

__all__ = ["LedgerVerdict", "ledger_verdicts", "told_beside"]

# Seeds below which intervals are so wide that it has to be said: those of a full run.
_MANY = 5
# What the ledger's verdict says of a claim that one run does not bear out.
_THERE = {
    Verdict.REPRODUCED: "It holds under the protocol of the ledger",
    Verdict.PARTLY: "It holds in part under the protocol of the ledger",
    Verdict.NOT_REPRODUCED: "Nor is it borne out under the protocol of the ledger",
}


@dataclass(frozen=True)
class LedgerVerdict:
    """What the ledger says of one claim.

    Attributes:
        key: the claim's name in the ledger.
        statement: what is claimed there.
        verdict: whether it is reproduced.
        outcome: which criteria are met, in words.
        protocol: how it is measured, where the source says otherwise.
        n_seeds: by how many seeds.

    Example:
        >>> LedgerVerdict("one", "One is one.", Verdict.REPRODUCED, "Met.", "Here.", 2).n_seeds
        2
    """

    key: str
    statement: str
    verdict: Verdict
    outcome: str
    protocol: str
    n_seeds: int


@cache
def ledger_verdicts() -> dict[str, LedgerVerdict]:
    """Return what the ledger says of each claim that was measured, by its key.

    Example:
        >>> ledger_verdicts()["likelihood"].n_seeds > 0
        True
    """
    text = files("pullback.pages").joinpath("verdicts.json").read_text(encoding="utf-8")
    claims = json.loads(text)["claims"]
    return {
        claim["key"]: LedgerVerdict(**claim | {"verdict": Verdict(claim["verdict"])})
        for claim in claims
    }


def told_beside(verdict: Verdict, said: Sequence[LedgerVerdict]) -> str:
    """Write what the ledger says of the claim that a chapter judges.

    Args:
        verdict: that of the chapter.
        said: what the ledger says, at least one.

    Returns:
        A paragraph. Where the chapter does not bear the claim out, it says whether it holds under
        the protocol of the ledger, and which that is.

    Example:
        >>> said = [LedgerVerdict("one", "One is one.", Verdict.REPRODUCED, "All.", "In 2 D.", 2)]
        >>> told_beside(Verdict.FAILS, said)
        '**In the ledger** (2 seeds) `one` is reproduced. All. It holds under the protocol ...
    """
    judged = " ".join(f"`{one.key}` is {one.verdict.label}. {one.outcome}" for one in said)
    protocols = list(dict.fromkeys(one.protocol for one in said))
    parts = [f"**In the ledger** ({count(said[0].n_seeds, 'seed')}) {judged}"]
    for protocol in protocols:
        of_it = [one.verdict for one in said if one.protocol == protocol]
        best = next((v for v in _THERE if v in of_it), None)
        asked = verdict in (Verdict.FAILS, Verdict.OPEN) and best is not None
        parts.append(f"{_THERE[best] if asked and best else 'The protocol there'}: {protocol}")
    if said[0].n_seeds < _MANY:
        parts.append(
            "So few seeds leave wide intervals: a sign that all of them bear out may fail."
        )
    parts.append("It is all in `docs/reproduction.md`.")
    return " ".join(parts)
