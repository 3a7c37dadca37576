"""A page that stands alone in a browser: opened as a file, offline, it does what Python does."""

import csv
import io
import math

import numpy as np
import pytest
import torch
from torch import nn

DESKTOP = {"viewport": {"width": 1280, "height": 820}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}
N_POSITIONS = 60

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def images():
    """Codes over a small network of images of 6 by 6 pixels."""
    from pullback.explorer import Column, Scene
    from pullback.manifolds import Manifold

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 36), nn.Sigmoid())
    for layer in network[:3:2]:
        layer.weight.data *= 3
    codes = torch.randn(200, 2).double()
    side = Column.of("side", np.where(codes[:, 0] > 0, "right", "left"))
    manifold = Manifold(network, dim=2).tabulated(codes, margin=0.5, rtol=1e-3)
    samples = manifold.decode(codes).numpy().astype(np.float32)
    return Scene("images", manifold, codes, samples, (side,), image_shape=(6, 6))


@pytest.fixture(scope="module")
def url(images, tmp_path_factory):
    from pullback.explorer.alone import write_page

    page = write_page(images, tmp_path_factory.mktemp("alone") / "images.html")
    return page.as_uri()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def watched(watch, url, request):
    made = watch(url, offline=True, **request.param)
    yield made
    made.close()


@pytest.fixture
def desktop(watch, url):
    made = watch(url, offline=True, **DESKTOP)
    yield made
    made.close()


def test_a_handle_dragged_along_a_circle_draws_the_geodesics_of_the_manifold(watched, images):
    page = watched.page
    page.evaluate(WATCH)
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
    page.wait_for_function(MEASURED)
    assert "on the table" in page.evaluate("() => [...badges]")
    waits = page.evaluate("() => drawn")
    print(f"drag to picture: {np.quantile(waits, [0.5, 0.9]).round(1)} ms")  # noqa: T201
    ends = np.stack([line for line, _ in seen])
    around = ends[:, 1] - ends[:, 1].mean(0)
    assert np.ptp(np.linalg.norm(around, axis=1)) < 0.02 * np.linalg.norm(around, axis=1).mean()
    truth = images.manifold.geodesic(ends[:, 0], ends[:, 1])
    assert bool(truth.converged.all())
    for (_, curve), points in zip(seen, truth.points(65).numpy(), strict=True):
        np.testing.assert_allclose(curve, points, atol=1e-4 * np.ptp(points, axis=0).max())


# The times from each move of the pointer on a handle to the next geodesic that is another one.
WATCH = """() => {
  globalThis.drawn = [];
  const curve = document.querySelector('[data-part="geodesic"]');
  let [moved, before] = [0, curve.getAttribute("d")];
  document.querySelector("#handle-b").addEventListener("pointermove", () => {
    moved = performance.now();
  }, true);
  new MutationObserver(() => {
    if (curve.getAttribute("d") === before) return;
    before = curve.getAttribute("d");
    drawn.push(performance.now() - moved);
  }).observe(curve, { attributes: true });
  globalThis.badges = new Set();
  const badge = document.querySelector('[data-part="badge"]');
  new MutationObserver(() => badges.add(badge.textContent)).observe(badge, { childList: true });
}"""


MEASURED = """() => document.querySelector('[data-part="badge"]').textContent !== "on the table"
"""


def test_lengths_and_the_certificate_are_those_of_the_manifold(desktop, images):
    line, _ = desktop.await_path()
    desktop.page.wait_for_function(MEASURED)
    truth = images.manifold.geodesic(*line)
    told = float(desktop.page.inner_text('[data-part="geodesic-length"]'))
    assert told == pytest.approx(float(truth.length), rel=1e-3)  # four digits are shown
    straight = float(desktop.page.inner_text('[data-part="straight-length"]'))
    assert straight >= told
    assert desktop.page.inner_text('[data-part="badge"]') in ("certified", "with a doubt")
    desktop.page.click("summary")
    words = desktop.page.inner_text('[data-part="words"]')
    assert "measured on the decoder itself" in words
    assert desktop.page.locator('[data-part="geodesic-images"] canvas').count() == 9


def test_every_layer_is_shown(desktop):
    page = desktop.page
    layers = [o.get_attribute("value") for o in page.locator("#layer option").all()]
    assert {"log_volume", "curvature", "density", "cells"} < set(layers)
    pictures = {desktop.picture()}
    measured = "() => !document.querySelector('#legend').textContent.includes('Measuring')"
    for layer in filter(None, layers):
        page.select_option("#layer", layer)
        page.wait_for_function(measured)
        pictures.add(desktop.picture())
    assert len(pictures) == len(layers)


def test_what_needs_python_is_said_and_not_offered(desktop):
    page = desktop.page
    for part in ("#around", "#clusters", "#to-python"):
        assert page.locator(part).is_hidden()
    assert "need Python" in page.inner_text("#alone")


def test_a_sample_is_shown_as_it_is_decoded(desktop, images):
    page = desktop.page
    handles = [desktop.middle("#handle-a"), desktop.middle("#handle-b")]
    pixels = [desktop.pixel(z) for z in images.Z.tolist()]
    apart = [min(math.dist(pixel, handle) for handle in handles) for pixel in pixels]
    index = next(i for i, far in enumerate(apart) if 60 < far < 200)
    page.mouse.click(*pixels[index])
    page.wait_for_selector("#sample:not([hidden])")
    assert page.locator("#neighbors").is_hidden()
    assert images.columns[0].at(index) in page.inner_text("#sample")


def test_a_kept_path_is_exported_and_outlives_a_reload(desktop, tmp_path):
    page = desktop.page
    line, curve = desktop.await_path()
    page.click("#keep")
    page.wait_for_timeout(500)  # what is kept is written a moment later
    page.reload()
    again, _ = desktop.await_path()
    np.testing.assert_array_equal(again, line)
    files = {}
    for kind in ("csv", "svg", "png"):
        with page.expect_download() as told:
            page.click(f"#to-{kind}")
        files[kind] = tmp_path / told.value.suggested_filename
        told.value.save_as(files[kind])
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text(encoding="utf-8"))))
    np.testing.assert_array_equal([[float(r["z1"]), float(r["z2"])] for r in rows], curve)
    assert files["png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "<svg" in files["svg"].read_text(encoding="utf-8")


def test_nothing_hangs_over_the_edge(watched):
    over = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert watched.page.evaluate(over) <= 0


def test_in_a_frame_that_may_keep_nothing_it_works_too(chromium, url, tmp_path):
    outer = tmp_path / "outer.html"
    outer.write_text(f'<iframe sandbox="allow-scripts" src="{url}" width="900" height="700">')
    page = chromium.new_context(offline=True).new_page()
    page.goto(outer.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator('[data-part="badge"]:visible').wait_for()
    assert float(frame.locator('[data-part="geodesic-length"]').inner_text()) > 0
    frame.locator("#theme").click()
    page.context.close()


def test_a_browser_without_workers_is_told_so(chromium, url):
    page = chromium.new_context(offline=True).new_page()
    page.add_init_script("delete globalThis.Worker")
    page.goto(url)
    assert "This browser cannot run the page" in page.inner_text("#welcome")
    page.context.close()
