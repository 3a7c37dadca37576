"""Stencils of marches: Selling's decomposition, exactly, however long and thin an ellipse is."""

import numpy as np
import pytest

pytest.importorskip("numba")

from pullback.geodesics.kernels.fields.entries import FIELD


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_a_matrix_is_the_sum_of_its_stencil(d):
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.normal(size=(6**d, d, d)))
    stretch = 10 ** rng.uniform(-3, 3, size=(6**d, 1, d))
    D = (Q * stretch) @ Q.transpose(0, 2, 1)
    weight, offset, jump, inside, begin, told = FIELD.make_stencils(D, (6,) * d)
    assert weight.min() >= 0
    summed = np.einsum("ni,nia,nib->nab", weight, offset.astype(float), offset.astype(float))
    np.testing.assert_allclose(summed, D, atol=1e-9 * np.abs(D).max())

    place = np.stack(np.unravel_index(np.arange(6**d), (6,) * d), -1)
    for bit, steps in enumerate((-1, 1, -2, 2)):
        there = place[:, None] + steps * offset
        within = ((there >= 0) & (there < 6)).all(-1)
        assert ((inside >> bit & 1) == within).all()
        numbers = np.ravel_multi_index(tuple(np.moveaxis(there[within], -1, 0)), (6,) * d)
        node = np.broadcast_to(np.arange(6**d)[:, None], within.shape)[within]
        assert (node + steps * jump[within] == numbers).all()
    # Whom a node tells are those that it is a neighbour of.
    told_by = {v: sorted(told[begin[v] : begin[v + 1]]) for v in range(6**d)}
    u, i = np.nonzero(inside & 1)
    w, k = np.nonzero(inside & 2)
    pairs = [*zip(u - jump[u, i], u, strict=True), *zip(w + jump[w, k], w, strict=True)]
    expected = {v: sorted(x for y, x in pairs if y == v) for v in range(6**d)}
    assert told_by == expected
