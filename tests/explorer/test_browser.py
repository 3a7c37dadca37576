"""The explorer in a browser: it draws what the manifold says, and nothing leaves the machine.

`pullback` is imported inside fixtures only, as the suite's `conftest.py` asks.
"""

import csv
import io
import math

import numpy as np
import pytest

DESKTOP = {"viewport": {"width": 1280, "height": 820}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}
N_POSITIONS = 60

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def explorer():
    """A live explorer of a curved surface whose decoder gives images of 6 by 6 pixels."""
    for package in ("starlette", "uvicorn", "websockets"):
        pytest.importorskip(package, reason="the server needs pullback[explore]")
    import torch

    from pullback.explorer import explore
    from pullback.manifolds import Manifold

    torch.manual_seed(0)
    weights = torch.randn(2, 36).double()

    def decode(z):
        return torch.sigmoid(2 * torch.sin(z @ weights))

    Z = torch.randn(200, 2).double()
    labels = np.where(Z[:, 0] > 0, "right", "left")
    with explore(
        Manifold(decode, dim=2), Z, labels, image_shape=(6, 6), open_browser=False
    ) as served:
        yield served


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def watched(watch, explorer, request):
    made = watch(explorer.url, **request.param)
    yield made
    made.close()


@pytest.fixture
def desktop(watch, explorer):
    made = watch(explorer.url, **DESKTOP)
    yield made
    made.close()


def test_a_handle_dragged_along_a_circle_draws_the_geodesics_of_the_manifold(watched, explorer):
    page = watched.page
    x, y = watched.middle("#handle-b")
    plane = page.locator("#plane").bounding_box()
    cx, cy = plane["x"] + plane["width"] / 2, plane["y"] + plane["height"] / 2
    radius = 0.3 * min(plane["width"], plane["height"])
    page.mouse.move(x, y)
    page.mouse.down()
    seen = []
    for k in range(N_POSITIONS):
        angle = 2 * math.pi * k / N_POSITIONS
        page.mouse.move(cx + radius * math.cos(angle), cy + radius * math.sin(angle))
        seen.append(watched.await_path())
    page.mouse.up()
    ends = np.stack([line for line, _ in seen])
    around = ends[:, 1] - ends[:, 1].mean(0)
    assert np.ptp(np.linalg.norm(around, axis=1)) < 0.02 * np.linalg.norm(around, axis=1).mean()
    assert np.ptp(ends[:, 0], axis=0).max() == 0
    for line, curve in seen[::4]:
        truth = explorer.scene.manifold.geodesic(*line).points(len(curve)).numpy()
        assert len(curve) > 50
        np.testing.assert_allclose(curve, truth, atol=1e-5 * np.ptp(truth, axis=0).max())


def test_lengths_are_those_of_the_manifold(watched, explorer):
    line, _ = watched.await_path()
    path = explorer.scene.manifold.geodesic(*line)
    told = watched.page.inner_text('[data-part="geodesic-length"]')
    assert float(told) == pytest.approx(float(path.length), rel=2e-3)
    straight = float(watched.page.inner_text('[data-part="straight-length"]'))
    assert straight >= float(told) * 0.999
    assert watched.page.inner_text('[data-part="badge"]')


def test_arrow_keys_move_a_handle_and_shift_moves_it_farther(desktop):
    page = desktop.page
    page.focus("#handle-a")
    before, _ = desktop.await_path()
    step, _ = desktop.await_change(lambda: page.keyboard.press("ArrowRight"))
    leap, _ = desktop.await_change(lambda: page.keyboard.press("Shift+ArrowRight"))
    small, large = step[0] - before[0], leap[0] - step[0]
    assert small[0] > 0
    assert small[1] == large[1] == 0
    assert large[0] == pytest.approx(5 * small[0])
    said = "() => document.querySelector('#said').textContent.startsWith('Geodesic')"
    page.wait_for_function(said)


def test_every_layer_is_shown(desktop):
    page = desktop.page
    layers = [o.get_attribute("value") for o in page.locator("#layer option").all()]
    assert "log_volume" in layers
    blank = desktop.picture()
    pictures = {blank}
    measured = "() => !document.querySelector('#legend').textContent.includes('Measuring')"
    for layer in filter(None, layers):
        page.select_option("#layer", layer)
        page.wait_for_function(measured, timeout=120_000)
        pictures.add(desktop.picture())
        assert page.locator('[data-part="trouble"]').is_hidden()
    assert len(pictures) == len(layers)
    page.select_option("#layer", "")
    assert desktop.picture() == blank


def test_a_kept_path_is_exported_and_outlives_a_reload(desktop, tmp_path):
    page = desktop.page
    page.select_option("#layer", "log_volume")
    line, curve = desktop.await_path()
    page.click("#keep")
    page.wait_for_timeout(500)  # what is kept is written a moment later
    page.reload()
    again, _ = desktop.await_path()
    np.testing.assert_array_equal(again, line)
    assert page.locator("#kept li").count() == 1
    assert page.input_value("#layer") == "log_volume"
    files = {}
    for kind in ("csv", "svg", "png", "python"):
        with page.expect_download() as told:
            page.click(f"#to-{kind}")
        files[kind] = tmp_path / told.value.suggested_filename
        told.value.save_as(files[kind])
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text(encoding="utf-8"))))
    np.testing.assert_array_equal([[float(r["z1"]), float(r["z2"])] for r in rows], curve)
    assert files["png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "<svg" in files["svg"].read_text(encoding="utf-8")
    code = files["python"].read_text(encoding="utf-8")
    compile(code, "paths.py", "exec")
    assert "geodesic" in code


def test_clusters_balls_fans_and_neighbours_are_drawn(desktop, explorer):
    page = desktop.page
    page.check("#balls")
    page.check("#fan")
    page.wait_for_selector(".ball", state="attached", timeout=60_000)
    page.wait_for_selector(".ray", state="attached", timeout=60_000)
    page.fill("#k", "2")
    page.click("#find")
    page.wait_for_selector(".center", state="attached", timeout=120_000)
    assert page.locator(".center").count() == 2
    assert "cluster 1" in page.inner_text("#legend")
    handles = [desktop.middle("#handle-a"), desktop.middle("#handle-b")]
    pixels = [desktop.pixel(z) for z in explorer.scene.Z.tolist()]
    apart = [min(math.dist(pixel, handle) for handle in handles) for pixel in pixels]
    index = next(i for i, far in enumerate(apart) if 60 < far < 200)
    page.mouse.move(*pixels[index])
    page.wait_for_selector("#tip:not([hidden])")
    assert explorer.scene.columns[0].at(index) in page.inner_text("#tip")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("#sample:not([hidden])")
    page.select_option("#neighbors", "geodesic")
    page.wait_for_selector(".neighbor", state="attached", timeout=60_000)
    assert page.locator(".neighbor").count() == 10


@pytest.fixture(scope="module")
def solid_explorer():
    """A live explorer of a bent surface of three dimensions."""
    pytest.importorskip("starlette", reason="the server needs pullback[explore]")
    import torch

    from pullback.explorer import explore
    from pullback.manifolds import Manifold

    def decode(z):
        return torch.cat([z, 0.3 * z.square()], -1)

    spread = torch.tensor([0.3, 2.0, 1.0])
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    Z = (torch.randn(60, 3, generator=torch.Generator().manual_seed(0)) * spread @ turn).double()
    with explore(Manifold(decode, dim=3), Z, open_browser=False) as served:
        yield served


def test_the_plane_of_the_principal_geodesics_is_chosen_by_key_kept_and_exported(
    watch, solid_explorer, tmp_path
):
    watched = watch(solid_explorer.url, **DESKTOP)
    page, scene = watched.page, solid_explorer.scene
    page.click("#keep")
    page.focus("#plane-kind")
    watched.await_change(lambda: page.keyboard.press("ArrowDown"))
    assert page.input_value("#plane-kind") == "principal"
    assert "Fréchet mean of all 60 codes" in page.inner_text("#plane-words")
    assert page.locator("#axis-0").is_hidden()
    page.focus("#handle-b")
    line, curve = watched.await_change(lambda: page.keyboard.press("Shift+ArrowUp"))
    plane = scene.principal
    truth = scene.manifold.geodesic(*plane.lift(torch_of(line)))
    np.testing.assert_allclose(curve, plane.coordinates(truth.points(len(curve))), atol=1e-6)
    assert plane.names[0] in page.text_content("#plane .ticks")
    for _ in range(3):
        page.click("#farther")
    box = page.locator("#plane").bounding_box()
    for x in (0.2, 0.8):  # the handle stays on what was measured
        corner = box["x"] + x * box["width"], box["y"] + 0.02 * box["height"]
        page.mouse.move(*watched.middle("#handle-b"))
        page.mouse.down()
        line, _ = watched.await_change(lambda corner=corner: page.mouse.move(*corner))
        page.mouse.up()
        assert bool(plane.covers(torch_of(line)).all())
        assert page.locator('[data-part="trouble"]').is_hidden()
    page.click("#keep")
    page.wait_for_timeout(500)  # what is kept is written a moment later
    page.reload()
    again, _ = watched.await_path()
    np.testing.assert_array_equal(again, line)
    assert page.input_value("#plane-kind") == "principal"
    files = {}
    for kind in ("csv", "python"):
        with page.expect_download() as told:
            page.click(f"#to-{kind}")
        files[kind] = tmp_path / told.value.suggested_filename
        told.value.save_as(files[kind])
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text(encoding="utf-8"))))
    assert {row["plane"] for row in rows} == {"z1 x z2", " x ".join(plane.names)}
    assert "M.metric_matrix(mean) @ directions.T" in files["python"].read_text(encoding="utf-8")
    watched.await_change(lambda: page.click("#kept li:first-child button"))  # Show, the other plane
    assert page.input_value("#plane-kind") == "axes"
    watched.close()


def torch_of(points):
    import torch

    return torch.as_tensor(np.asarray(points), dtype=torch.float64)


def test_a_tap_on_the_plane_moves_the_last_handle(watched):
    page = watched.page
    before, _ = watched.await_path()
    box = page.locator("#plane").bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"]
    is_phone = page.viewport_size["width"] < 500
    after, _ = watched.await_change(
        lambda: page.touchscreen.tap(x, y) if is_phone else page.mouse.click(x, y)
    )
    np.testing.assert_array_equal(after[0], before[0])
    handle = watched.middle("#handle-b")
    assert math.hypot(handle[0] - x, handle[1] - y) < 20  # there, or at the code that is next to it


def test_a_tall_legend_hides_no_code(watch):
    import torch

    from pullback.explorer import explore
    from pullback.manifolds import Manifold

    Z = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)).double()
    labels = [f"a class whose name is long, number {k % 12:02}" for k in range(60)]
    flat = Manifold(lambda z: z, dim=2)
    with explore(flat, Z, labels, port=0, open_browser=False) as served:
        made = watch(served.url, **DESKTOP)
        legend = made.page.locator("#legend").bounding_box()
        assert legend["height"] > 60
        top = min(made.pixel(z)[1] for z in Z.tolist())
        assert top > legend["y"] + legend["height"]
        made.close()


def test_nothing_hangs_over_the_edge(watched):
    over = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert watched.page.evaluate(over) <= 0


def test_the_theme_is_that_of_the_system_until_it_is_switched(watch, explorer):
    made = watch(explorer.url, color_scheme="dark", **DESKTOP)
    theme = "() => document.documentElement.dataset.theme"
    assert made.page.evaluate(theme) == "dark"
    made.page.click("#theme")
    assert made.page.evaluate(theme) == "light"
    made.page.reload()
    assert made.page.evaluate(theme) == "light"
    made.close()


def test_without_the_token_there_is_no_page_but_words(chromium, explorer):
    page = chromium.new_context().new_page()
    answer = page.goto(explorer.url.split("?")[0])
    assert answer.status == 403
    assert "token" in page.inner_text("body")
    page.context.close()
