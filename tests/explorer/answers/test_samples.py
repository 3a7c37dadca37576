import numpy as np

from pullback.explorer.answers.plain import View
from pullback.explorer.answers.samples import answer_sample
from pullback.explorer.messages import Sample


def test_a_sample_is_its_own_row_and_columns(scene):
    found = answer_sample(scene, View(), Sample(7))
    strip = dict(zip(found["strip"]["names"], found["strip"]["values"][0], strict=True))
    np.testing.assert_allclose([strip[n] for n in ("x", "y", "height")], scene.X[7], rtol=1e-5)
    np.testing.assert_allclose(found["point"], scene.Z[7], rtol=1e-5)
    assert found["columns"]["side"] == ("right" if scene.Z[7, 0] > 0 else "left")
    assert found["columns"]["height"] == scene.X[7, 2]


def test_without_data_the_code_is_decoded(solid):
    found = answer_sample(solid, View(), Sample(3))
    strip = dict(zip(found["strip"]["names"], found["strip"]["values"][0], strict=True))
    truth = (solid.Z[3] * solid.Z.new_tensor([1, 2, 3])).tolist()
    np.testing.assert_allclose([strip[n] for n in ("x1", "x2", "x3")], truth, rtol=1e-5)
