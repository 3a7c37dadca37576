"""Real protein sequences, aligned, that come inside a dependency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.datasets.packaged import packaged_file

__all__ = ["AMINO_ACIDS", "ww_domains"]

AMINO_ACIDS = "-ACDEFGHIKLMNPQRSTVWY"
"""The letters of an aligned sequence, in the order of their one-hot columns: a gap, then 20."""


def ww_domains() -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return 4025 aligned sequences of WW domains, at 44 positions of 20 amino acids or a gap.

    A WW domain is a piece of a protein, of some 35 amino acids with two tryptophans (W), that holds
    on to proline-rich partners. The family's alignment (Pfam PF00397) comes with the package
    logomaker. Insertions are read like other amino acids, and one unknown amino acid as a gap.
    There are no labels, and 635 sequences are copies of others: take care that none is on both
    sides of a split.

    Returns:
        The sequences X one-hot, float32 `(4025, 924)`, flattened from 44 positions of 21 letters in
        the order of `AMINO_ACIDS`; and as text, str `(4025,)` of 44 letters each.

    Raises:
        MissingExtraError: logomaker is not installed.
        StorageError: the installed logomaker has no such file.

    Source: Finn et al., "Pfam: the protein families database", 2014; Tareen, Kinney, "Logomaker",
    2020, for the file.

    Example:
        >>> import pullback as pb
        >>> X, sequences = pb.datasets.ww_domains()
        >>> X.shape, str(sequences[2])
        ((4025, 924), 'LPSGW--VEQ-TDPSS---GRPYYYHNAS-------NLTQWERP')
    """
    path = packaged_file(
        "logomaker",
        "examples",
        "datafiles",
        "ww_sequences.fa",
        extra="data",
        purpose="The data set `ww_domains`",
    )
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.upper() for line in lines if line and line[0] not in "#>"]
    sequences = np.array([row.replace(".", "-").replace("X", "-") for row in rows])
    letters = sequences.view("U1").reshape(len(sequences), -1)
    one_hot = letters[:, :, None] == np.array(list(AMINO_ACIDS))
    return one_hot.reshape(len(sequences), -1).astype(np.float32), sequences
