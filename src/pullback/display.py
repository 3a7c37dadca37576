"""How results, models and spaces are shown: in one line, or as a table in a notebook."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["as_html", "as_line", "charted", "drawn", "html_table", "scattered", "summary"]

# The most characters of a value that a one-line description shows, before it is cut.
_LONGEST = 60
# The most entries of a list or dictionary that a one-line description shows.
_ENTRIES = 4
# The most curves in the small drawing of a notebook, and the most points along each: 60 times 64
# points are 40 kB of SVG.
_MOST_CURVES, _MOST_POINTS = 60, 64
# Width and height of the drawing, and its margin, in pixels.
_SIZE, _EDGE = 160, 6
# The most points that are drawn, so that a picture stays below 20 kilobytes.
_MOST_DOTS = 250
# The share of a series that does not count where the height of its picture is chosen: a training
# begins far below all that follows. What lies below is drawn at the lower edge. Set by judgement.
_BEGINNING = 0.1
_GREY, _MARK = "#999999", "#d55e00"
# Colours that the colour-blind can tell apart, of Okabe and Ito; that of marks is left out.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")


def summary(value: Any) -> str:
    """Say in some words what a value is: of a tensor or array its shape.

    Args:
        value: anything.

    Example:
        >>> summary(np.zeros((3, 2))), summary("a"), summary(np.float64(0.5))
        ('(3, 2) float64', "'a'", '0.5')
    """
    if isinstance(value, Tensor | np.ndarray):
        kind = str(value.dtype).removeprefix("torch.")
        plain = value.ndim == 0 and not (isinstance(value, Tensor) and value.is_meta)
        return f"{value.item():.6g}" if plain and kind[:3] in ("flo", "int") else _shape(value)
    if isinstance(value, np.generic):
        return str(value.item())
    if value is None or isinstance(value, bool | int | float | str):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    if isinstance(value, list | tuple | Mapping):
        return _entries(value)
    return type(value).__name__


def as_line(self: Any) -> str:
    """Return the `repr` of a dataclass or named tuple in one line, its tensors by their shapes.

    Example:
        >>> from typing import NamedTuple
        >>> class Ball(NamedTuple):
        ...     radius: float
        ...     points: Any
        ...     __repr__ = as_line
        >>> Ball(2.0, np.zeros((100, 2)))
        Ball(radius=2.0, points=(100, 2) float64)
    """
    shown = ", ".join(f"{name}={summary(value)}" for name, value in _fields(self))
    return f"{type(self).__name__}({shown})"


def as_html(self: Any) -> str:
    """Return a dataclass or named tuple as a table of its fields, for notebooks.

    Example:
        >>> from typing import NamedTuple
        >>> class Ball(NamedTuple):
        ...     radius: float
        ...     _repr_html_ = as_html
        >>> Ball(2.0)._repr_html_()
        '<table><caption>Ball</caption><tr><th>radius</th><td>2.0</td></tr></table>'
    """
    rows = [(name, summary(value)) for name, value in _fields(self)]
    return html_table(type(self).__name__, rows)


def html_table(
    caption: str, rows: Iterable[Sequence[object]], header: Sequence[str] = (), after: str = ""
) -> str:
    """Write an HTML table, all text escaped; the first entry of each row is its name.

    Args:
        caption: what it is.
        rows: their entries.
        header: names of the columns.
        after: HTML that follows.

    Example:
        >>> html_table("a < b", [("x", 1)])
        '<table><caption>a &lt; b</caption><tr><th>x</th><td>1</td></tr></table>'
    """
    lines = [f"<caption>{escape(caption)}</caption>"]
    if header:
        lines.append("<tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>")
    for name, *entries in rows:
        cells = "".join(f"<td>{escape(str(entry))}</td>" for entry in entries)
        lines.append(f"<tr><th>{escape(str(name))}</th>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>{after}"


def drawn(curves: Tensor) -> str:
    """Draw plane curves as a small SVG picture; nothing if they are not in a plane.

    Args:
        curves: points along each, shape `(n, k, d)`; those that are not finite are left out.

    Example:
        >>> import torch
        >>> drawn(torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])).count("<polyline")
        1
        >>> drawn(torch.zeros(1, 2, 3))
        ''
    """
    whole = curves.detach()[curves.isfinite().all(-1).all(-1)][:_MOST_CURVES]
    points: NDArray[Any] = whole[:, :: -(-curves.shape[-2] // _MOST_POINTS)].cpu().numpy()
    if len(points) == 0 or points.shape[-1] != 2:
        return ""
    low, high = points.min((0, 1)), points.max((0, 1))
    scale = (_SIZE - 2 * _EDGE) / (float((high - low).max()) or 1.0)
    places = _EDGE + (points - low) * scale
    places[..., 1] = _SIZE - places[..., 1]  # y runs downwards in a picture
    lines = [" ".join(f"{x:.1f},{y:.1f}" for x, y in curve) for curve in places]
    shapes = "".join(f'<polyline points="{line}"/>' for line in lines)
    return f'<svg width="{_SIZE}" height="{_SIZE}" fill="none" stroke="currentColor">{shapes}</svg>'


def scattered(
    points: Tensor | None, marks: Tensor | None = None, *, groups: NDArray[Any] | None = None
) -> str:
    """Draw points of the plane as a small SVG picture; nothing if there are none in a plane.

    Args:
        points: small dots, shape `(n, d)`; of many some, evenly chosen. Those that are not finite
            are left out.
        marks: larger ones in front of them, shape `(k, d)`, such as centres.
        groups: a group >= 0 of each point, shape `(n,)`, which is its colour; -1 for grey.

    Example:
        >>> import torch
        >>> scattered(torch.eye(2), torch.zeros(1, 2)).count("<circle")
        3
        >>> scattered(torch.eye(3)), scattered(None)
        ('', '')
    """
    dots, places = _in_plane(points), _in_plane(marks)
    whole = np.concatenate([dots, places])
    finite = np.isfinite(whole).all(-1)
    if not finite.any():
        return ""
    low, high = whole[finite].min(0), whole[finite].max(0)
    scale = (_SIZE - 2 * _EDGE) / (float((high - low).max()) or 1.0)
    centred = _SIZE / 2 + (whole - (low + high) / 2) * scale * [1, -1]  # y runs downwards
    colors = np.full(len(dots), _GREY)
    if groups is not None and len(groups) == len(dots):
        known = groups >= 0
        colors[known] = np.asarray(_COLORS)[groups[known] % len(_COLORS)]
    some = np.arange(len(dots))[finite[: len(dots)]]
    shapes = [
        f'<circle cx="{centred[i, 0]:.1f}" cy="{centred[i, 1]:.1f}" r="1.5" fill="{colors[i]}"/>'
        for i in some[:: -(-len(some) // _MOST_DOTS) or 1]
    ]
    shapes += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_MARK}" stroke="white"/>'
        for x, y in centred[len(dots) :][finite[len(dots) :]][:_MOST_DOTS]
    ]
    return f'<svg width="{_SIZE}" height="{_SIZE}">{"".join(shapes)}</svg>'


def charted(title: str, *series: Sequence[float | None]) -> str:
    """Draw series over their places as lines of a small SVG picture; nothing if there are no two.

    Args:
        title: what is drawn, for those who hear the page.
        series: numbers, the first series in grey; None and what is not finite are left out.

    Example:
        >>> charted("ELBO by epoch", [-9.0, -2.0, -1.0], [-9.0, None, -2.0]).count("<polyline")
        2
        >>> charted("ELBO by epoch", [-9.0])
        ''
    """
    values = [np.array(one, dtype=float) for one in series]  # None becomes NaN
    most = max((len(one) for one in values), default=0)
    late = [one[int(_BEGINNING * len(one)) :] for one in values]
    seen = np.concatenate([one[np.isfinite(one)] for one in late]) if late else np.zeros(0)
    if len(seen) < 2 or most < 2:
        return ""
    low, height = float(seen.min()), float(np.ptp(seen)) or 1.0
    lines = []
    for one, color in zip(values, (_GREY, _MARK, *_COLORS), strict=False):
        at = np.arange(len(one))[np.isfinite(one)]
        at = at[:: -(-len(at) // _MOST_DOTS) or 1]
        x = _EDGE + at / (most - 1) * (_SIZE - 2 * _EDGE)
        y = np.clip((one[at] - low) / height, 0, 1)
        y = _SIZE - _EDGE - y * (_SIZE - 2 * _EDGE)
        places = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        lines.append(f'<polyline points="{places}" stroke="{color}"/>' if len(at) > 1 else "")
    head = f'<svg width="{_SIZE}" height="{_SIZE}" fill="none"><title>{escape(title)}</title>'
    return f"{head}{''.join(lines)}</svg>"


def _in_plane(points: Tensor | None) -> NDArray[Any]:
    if points is None or points.ndim != 2 or points.shape[-1] != 2:
        return np.zeros((0, 2))
    array: NDArray[Any] = points.detach().cpu().double().numpy()
    return array


def _fields(value: Any) -> list[tuple[str, Any]]:
    names = getattr(value, "_fields", None)
    if names is None:
        names = [field.name for field in dataclasses.fields(value) if field.name[0] != "_"]
    return [(name, getattr(value, name)) for name in names]


def _shape(value: Any) -> str:
    where = getattr(value, "device", "cpu")
    place = "" if str(where) == "cpu" else f" on {where}"
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}{place}"


def _entries(values: Any) -> str:
    more = [", ..."] if len(values) > _ENTRIES else [""]
    if isinstance(values, Mapping):
        first = [f"{k!r}: {summary(v)}" for k, v in islice(values.items(), _ENTRIES)]
        return "{" + ", ".join(first) + more[0] + "}"
    text = ", ".join(summary(value) for value in values[:_ENTRIES]) + more[0]
    return f"[{text}]" if isinstance(values, list) else f"({text})"
