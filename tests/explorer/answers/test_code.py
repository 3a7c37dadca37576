import io
from contextlib import redirect_stdout

import torch

from pullback.explorer.answers.code import answer_python
from pullback.explorer.answers.plain import View
from pullback.explorer.messages import PythonCode


def test_the_code_runs_and_finds_the_same_paths(scene):
    ends = torch.tensor([[[0.1, 1 / 3], [0.5, -0.25]], [[-0.4, 0.0], [0.9, 0.8]]]).double()
    code = answer_python(scene, View(), PythonCode(tuple(map(tuple, ends))))["code"]
    assert code.startswith(scene.setup)
    names = {"M": scene.manifold}
    with redirect_stdout(io.StringIO()) as said:
        exec(code.removeprefix(scene.setup), names)
    truth = scene.manifold.geodesic(ends[:, 0], ends[:, 1])
    torch.testing.assert_close(names["paths"].length, truth.length)
    assert "2 of 2 geodesics converged" in said.getvalue()
