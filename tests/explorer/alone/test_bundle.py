import json
from pathlib import Path

import pytest

from pullback.errors import InvalidDataError

PAGE = Path(__file__).parents[3] / "src" / "pullback" / "explorer" / "page"
ENTRIES = ["live.js", "alone/main.js", "alone/worker.js"]


@pytest.fixture
def bundle():
    from pullback.explorer.alone.bundle import bundled

    return bundled


@pytest.fixture
def write(tmp_path):
    """Write modules by name; return the first."""

    def files(**modules):
        for name, text in modules.items():
            (tmp_path / f"{name}.js").write_text(text, encoding="utf-8")
        return tmp_path / f"{next(iter(modules))}.js"

    return files


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_module_of_the_page_is_bundled_once(bundle, node, tmp_path, entry):
    script = bundle(PAGE / entry)
    parse = f"new Function({json.dumps(script)}); process.stdout.write('true');"
    assert node(parse, tmp_path)
    firsts = [part.splitlines()[1] for part in script.split("// @ts-check")[1:]]
    assert len(firsts) == len(set(firsts)) > 10  # what each says that it is


@pytest.mark.slow
def test_modules_run_in_order_once_and_by_the_names_they_give(bundle, write, node, tmp_path):
    entry = write(
        entry='import { two as zwei } from "./left.js";\nimport {\n  three,\n} from "./right.js";\n'
        'import "./effect.js";\n'
        "process.stdout.write(JSON.stringify([zwei, three(), globalThis.count]));\n",
        left='import { one } from "./base.js";\nexport const two = one + 1;\n',
        right='import { one, Made } from "./base.js";\n'
        "export function three() {\n  return one + new Made().two;\n}\n",
        base="globalThis.count = (globalThis.count ?? 0) + 1;\nexport const one = 1;\n"
        "export class Made {\n  two = 2;\n}\nexport async function later() {}\n",
        effect="globalThis.count += 10;\n",
    )
    assert node(bundle(entry), tmp_path) == [2, 3, 11]


@pytest.mark.parametrize(
    "line",
    [
        "export default 1;",
        "export let changing = 1;",
        "export { one };",
        "export const [one, two] = [1, 2];",
        'export * from "./base.js";',
        'import base from "./base.js";',
        'import * as base from "./base.js";',
        'import { one } from "base";',
    ],
)
def test_other_forms_are_refused_by_name(bundle, write, line):
    with pytest.raises(InvalidDataError, match=r"entry\.js has a form that is not bundled: "):
        bundle(write(entry=f"{line}\n", base="export const one = 1;\n"))


@pytest.mark.parametrize("text", ['"</script>"', '"</SCRIPT >"', '"<!--"'])
def test_what_would_end_the_script_is_refused(bundle, write, text):
    with pytest.raises(InvalidDataError, match="would end its script"):
        bundle(write(entry=f"const tag = {text};\n"))


def test_circles_and_modules_that_are_not_there_are_refused(bundle, write):
    with pytest.raises(InvalidDataError, match=r"a\.js imports itself, by b\.js"):
        bundle(write(a='import { b } from "./b.js";\n', b='import { a } from "./a.js";\n'))
    with pytest.raises(InvalidDataError, match=r"c\.js is not there, which a\.js imports"):
        bundle(write(a='import { c } from "./c.js";\n'))
