"""Data files that other packages ship: found in the installed package, which is not imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pullback.errors import MissingExtraError, StorageError

__all__ = ["packaged_file"]


def packaged_file(package: str, *parts: str, extra: str, purpose: str) -> Path:
    """Return the path of a file inside an installed package.

    Args:
        package: the package that ships the file.
        parts: the folders on the way from the package to the file, and its name.
        extra: our extra that installs the package.
        purpose: what needs the file, for the message.

    Raises:
        MissingExtraError: the package is not installed.
        StorageError: it is, but has no such file.

    Example:
        >>> packaged_file("numpy", "version.py", extra="data", purpose="This example").name
        'version.py'
    """
    found = find_spec(package)
    if found is None or found.origin is None:
        raise MissingExtraError(package, extra, purpose)
    path = Path(found.origin).parent.joinpath(*parts)
    if not path.exists():
        raise StorageError(
            f"The installed {package} has no file {path}: reinstall it with "
            f"`pip install --force-reinstall {package}`."
        )
    return path
