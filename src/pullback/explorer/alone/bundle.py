"""One script of several ES modules: pages that are opened as files may not import any."""

import re
from pathlib import Path
from typing import NamedTuple

from pullback.errors import InvalidDataError

__all__ = ["bundled"]

# The forms that our modules are written in, each at the beginning of a line. Other forms are
# refused: what is bundled is our own, and a test bundles all of it.
_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"(\.{1,2}/[^"]+)";\n', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?function\*? (\w+)|class (\w+)|const (\w+) =)", re.M)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.M)
# What would end the script that it is written into, or begin a comment of HTML there.
_ENDING = re.compile(r"</script|<!--", re.I)


def bundled(entry: Path) -> str:
    r"""Return the text of one script that does what a module does, and all that it imports.

    Each module becomes a function that is called once, after those that it imports, and returns
    what it exports; so does the script as a whole. That is what modules do, but for a name whose
    value changes after it was exported, and for circles: both are refused.

    Args:
        entry: the file of the module.

    Raises:
        InvalidDataError: a module has another form of import or export, imports in a circle, or
            would end the script that it stands in, or is not there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     one, two = Path(folder) / "one.js", Path(folder) / "two.js"
        ...     _ = one.write_text('import { two } from "./two.js";\nconsole.log(two);\n')
        ...     _ = two.write_text("export const two = 2;\n")
        ...     print(bundled(one))
        (() => {
        "use strict";
        const two_0 = (() => {
        const two = 2;
        return { two };
        })();
        const one_1 = (() => {
        const { two } = two_0;
        console.log(two);
        return {  };
        })();
        return one_1;
        })();
        <BLANKLINE>
    """
    modules: dict[Path, _Module] = {}
    _add(entry.resolve(), modules, ())
    last = f"return {modules[entry.resolve()].name};"
    texts = [module.text for module in modules.values()]
    return "\n".join(["(() => {", '"use strict";', *texts, last, "})();", ""])


class _Module(NamedTuple):
    name: str  # of what it exports
    text: str


def _add(path: Path, modules: dict[Path, _Module], importers: tuple[Path, ...]) -> None:
    """Write a module down behind those that it imports."""
    if path in importers:
        raise InvalidDataError(f"{path.name} imports itself, by {importers[-1].name}.")
    if path in modules:
        return
    if not path.is_file():
        by = importers[-1].name if importers else "nobody"
        raise InvalidDataError(f"{path.name} is not there, which {by} imports.")
    text = path.read_text(encoding="utf-8")
    for found in _IMPORT.finditer(text):
        _add((path.parent / found[2]).resolve(), modules, (*importers, path))
    name = f"{re.sub(r'[^a-zA-Z]', '_', path.stem)}_{len(modules)}"
    modules[path] = _Module(name, _as_function(path, text, name, modules))


def _as_function(path: Path, text: str, name: str, modules: dict[Path, _Module]) -> str:
    def taken(found: re.Match[str]) -> str:
        source = modules[(path.parent / found[2]).resolve()].name
        names = found[1].replace(" as ", ": ") if found[1] else ""
        return f"const {{{names}}} = {source};\n" if names else ""

    exported = [next(filter(None, found.groups())) for found in _EXPORT.finditer(text)]
    body = _EXPORT.sub("", _IMPORT.sub(taken, text))
    other, ending = _OTHER.search(body), _ENDING.search(body)
    if other is not None:
        raise InvalidDataError(f"{path.name} has a form that is not bundled: {other[0][:60]}")
    if ending is not None:
        raise InvalidDataError(f"{path.name} holds {ending[0]!r}, which would end its script.")
    return f"const {name} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();"
