"""Make the pictures of the explorer: `python docs/make_screenshots.py` (a minute or two).

It needs Playwright (`pip install playwright`) and a Chromium: its own, or one on the path. Every
picture is to be looked at, and to stay below 150 kB.
"""

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import pullback as pb
from pullback.explorer import Explorer

IMAGES = Path(__file__).parent / "images"
# Where browsers lie on the path, by their names.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP = {"viewport": {"width": 1180, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True}
# Milliseconds for which a page is left alone before its picture is taken: it draws in the next
# frame, and says what it found a moment later.
REST = 1000


def explored() -> Explorer:
    """Train on 900 images of the digits 0, 1 and 7, and serve their latent space."""
    X, y = pb.datasets.mnist(digits=(0, 1, 7), n_per_digit=300, random_state=0)
    vae = pb.models.VAE(data_dim=784, latent_dim=2).fit(X, epochs=100, progress=False)
    columns = {"digit": y}
    return pb.explore(vae, X, columns=columns, image_shape=(28, 28), port=0, open_browser=False)


def opened(browser: Any, url: str, **options: Any) -> Page:
    """Open the explorer in a window of its own, and wait for the first geodesic."""
    page: Page = browser.new_context(**options).new_page()
    page.goto(url)
    page.wait_for_selector('[data-part="geodesic"][d^="M"]', state="attached")
    return page


def choose(page: Page, layer: str) -> None:
    """Show a layer, and wait until it is measured."""
    page.select_option("#layer", layer)
    page.wait_for_function(
        "() => !document.querySelector('#legend').textContent.includes('Measuring')",
        timeout=300_000,
    )


def take(page: Page, name: str) -> None:
    """Take the picture of a page as it is shown, in 256 colours: a third of the bytes."""
    page.wait_for_timeout(REST)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(IMAGES / name, optimize=True)


def main() -> None:
    """Take three pictures: by day, by night, and on a phone."""
    IMAGES.mkdir(exist_ok=True)
    with explored() as explorer, sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if Path(own).exists() else next(filter(None, map(shutil.which, BROWSERS)), own)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        light = opened(browser, explorer.url, color_scheme="light", **DESKTOP)
        take(light, "explorer-light.png")
        dark = opened(browser, explorer.url, color_scheme="dark", **DESKTOP)
        choose(dark, "log_volume")
        dark.check("#balls")
        take(dark, "explorer-dark.png")
        phone = opened(browser, explorer.url, color_scheme="light", **PHONE)
        take(phone, "explorer-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
