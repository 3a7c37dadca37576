"""The claims of the papers, measured again: what holds, by how much, over several seeds."""

from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims import CLAIMS
from pullback.reproduction.lab import Lab
from pullback.reproduction.ledger import Entry
from pullback.reproduction.reproduce import reproduce

__all__ = ["CLAIMS", "Claim", "Criterion", "Entry", "Lab", "Numbers", "reproduce"]
