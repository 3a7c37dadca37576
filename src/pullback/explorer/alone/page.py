"""The explorer as one HTML file: opened from a disk or a static host, it runs without Python."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pullback.errors import InvalidParameterError, check_path
from pullback.explorer.alone.bundle import bundled
from pullback.explorer.alone.content import content_of
from pullback.explorer.scene import Scene, scene_of
from pullback.files import atomic_write, check_writable

__all__ = ["PAGE", "check_out", "export_page", "write_page"]

PAGE = Path(__file__).parents[1] / "page"
"""The folder of the parts of the page, of the live one too."""
# What the browser is told that the page may do: run its own scripts, and ask nobody anything.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def export_page(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    out: str | os.PathLike[str],
    columns: Mapping[str, Any] | None = None,
    image_shape: Sequence[int] | None = None,
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Write the explorer of a latent plane as one HTML file, which runs without Python.

    The page holds the table of the metric and the decoder, and searches geodesics in the browser:
    opened from a disk or a static host, it asks nobody anything. It holds the codes and the
    columns, but not the samples. What `explore` shows and it does not, it says.

    Args:
        model: a `VAE`; or a `Manifold` over a table, with codes for `X`; or the folder of a run,
            which needs nothing else. Of two latent dimensions.
        X: the samples, shape `(n, D)`.
        y: their labels, shape `(n,)`.
        out: the file, which ends with .html.
        columns: more to colour by, each of shape `(n,)`, by name.
        image_shape: (height, width) if a sample is an image.
        feature_names: the names of the D features.

    Returns:
        The file.

    Raises:
        InvalidParameterError: the latent space is no plane or has no table, the decoder has a part
            that a page cannot evaluate, or the folder of `out` is not there.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile, torch
        >>> from pullback.manifolds import Manifold
        >>> torch.manual_seed(0).initial_seed()
        0
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        >>> Z = torch.randn(20, 2).double()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = export_page(Manifold(net, dim=2).tabulated(Z), Z, out=f"{folder}/page.html")
        ...     file.read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'
    """
    path = check_out("out", out)
    scene = scene_of(
        model, X, y, columns=columns, image_shape=image_shape, feature_names=feature_names
    )
    return write_page(scene, path)


def check_out(name: str, out: str | os.PathLike[str]) -> Path:
    """Return the file that a page shall be written to, before any work is done.

    Args:
        name: what it is called, for messages.
        out: the file.

    Raises:
        InvalidParameterError: it does not end with .html, or its folder is not there.
        StorageError: it cannot be written.

    Example:
        >>> check_out("out", "page.txt")
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `out` must be a file that ends with .html, but ...
    """
    path = check_path(name, out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InvalidParameterError(name, "a file that ends with .html", path)
    if not path.absolute().parent.is_dir():
        raise InvalidParameterError(name, "a file in a folder that is there", path)
    check_writable(path)
    return path


def write_page(scene: Scene, out: Path) -> Path:
    """Write the page of a scene.

    Args:
        scene: what is explored.
        out: the file.

    Raises:
        InvalidParameterError: as of `export_page`.
        StorageError: the file cannot be written.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> scene = Scene("solid", Manifold(lambda z: z, dim=3), torch.eye(3).double())
        >>> write_page(scene, Path("page.html"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `latent_dim` must be 2 for a page that stands ...
    """
    atomic_write(out, _html(_as_json(content_of(scene))).encode())
    return out


def _as_json(value: dict[str, Any]) -> str:
    """JSON that may stand inside of a script: no tag can begin in it."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _html(content: str) -> str:
    """The page with all that it refers to in it."""
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    style = (PAGE / "explorer.css").read_text(encoding="utf-8")
    scripts = [
        f'<script type="application/json" id="content">{content}</script>',
        f'<script type="text/plain" id="worker">{bundled(PAGE / "alone" / "worker.js")}</script>',
        f"<script>{bundled(PAGE / 'alone' / 'main.js')}</script>",
    ]
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    head = [f"{policy}\n<style>\n{style}</style>", "", ""]
    for pattern, new in zip(_REFERENCES, head, strict=True):
        before, _, after = re.split(f"({pattern})", text)  # which it has once
        text = before + new + after
    return text.replace("</body>", "\n".join([*scripts, "</body>"]))


# What of `index.html` refers to other files: the style, and the script twice.
_REFERENCES = (
    r'<link rel="stylesheet" href="page/explorer\.css">\n?',
    r'<link rel="modulepreload" href="page/[\w/]+\.js">\n?',
    r'<script type="module" src="page/[\w/]+\.js"></script>\n?',
)
