import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from pullback.errors import InvalidParameterError, StorageError


def content_in(page):
    text = re.search(r'id="content">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)[1]
    return json.loads(text)


@pytest.mark.slow
def test_it_refers_to_nothing_outside_of_itself(page):
    html = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:https?|wss?)://[^\s\"')]*", html)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r'(?:src|href)="([^"$]*)"', html.split("<script")[0]) == ["data:,"]
    assert "default-src 'none'" in html
    assert "connect-src" not in html
    assert html.count("</script>") == html.count("<script") == 3


@pytest.mark.slow
def test_a_label_cannot_break_out_of_its_script(page):
    html = page.read_text(encoding="utf-8")
    assert "</script><b>" not in html
    (side, _) = content_in(page)["scene"]["columns"]
    assert side["labels"] == ["</script><b>left", "right"]


@pytest.mark.slow
def test_samples_and_paths_of_this_machine_stay_here(page, plane, tmp_path_factory):
    from pullback.explorer.answers.plain import encoded

    html = page.read_text(encoding="utf-8")
    assert encoded(plane.X, "<f4")[:60] not in html
    assert str(tmp_path_factory.getbasetemp()) not in html


@pytest.mark.slow
def test_a_function_writes_what_a_manifold_gives(tmp_path):
    from pullback import Manifold, export_page

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 4))
    codes = torch.randn(20, 2).double()
    manifold = Manifold(network, dim=2).tabulated(codes)
    weight = np.linspace(0, 1, 20)
    out = tmp_path / "page.html"
    shown = {"columns": {"weight": weight}, "image_shape": (2, 2)}
    assert export_page(manifold, codes, ["a", "b"] * 10, out=out, **shown) == out
    scene = content_in(out)["scene"]
    assert [column["name"] for column in scene["columns"]] == ["label", "weight"]
    assert scene["image"] == [2, 2]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("page.txt", "ends with .html"),
        ("nowhere/page.html", "a file in a folder that is there"),
    ],
)
def test_a_file_that_cannot_be_is_refused_before_any_work(tmp_path, out, said):
    from pullback import export_page

    with pytest.raises(InvalidParameterError, match="`out` must be") as told:
        export_page("no run at all", out=tmp_path / out)
    assert said in str(told.value)


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    from pullback import export_page

    (tmp_path / "page.html").mkdir()
    with pytest.raises(StorageError, match=r"page\.html: it is a folder"):
        export_page("no run at all", out=tmp_path / "page.html")


def test_what_is_no_run_is_refused_and_writes_nothing(tmp_path):
    from pullback import export_page

    with pytest.raises(InvalidParameterError, match="`DIR` must be a folder"):
        export_page(tmp_path / "nowhere", out=tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
