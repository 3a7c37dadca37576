"""The modules of the page: their unit tests under node; and they need nothing from elsewhere."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "src" / "pullback" / "explorer" / "page").resolve()
TESTS = Path(__file__).parent / "page"
DOCS = Path(__file__).parents[2] / "docs" / "explorer.md"
MODULES = sorted(PAGE.rglob("*.js"))
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())


class Index(HTMLParser):
    """What an HTML file refers to, its ids, and what it has inline."""

    def __init__(self):
        super().__init__()
        self.addresses, self.ids, self.inline = [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)
            if name == "style" or name.startswith("on"):
                self.inline.append((tag, name))
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.inline.append((tag, ""))


@pytest.fixture(scope="module")
def index():
    parser = Index()
    parser.feed((PAGE / "index.html").read_text(encoding="utf-8"))
    return parser


@pytest.mark.slow
def test_the_unit_tests_of_the_page_pass():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the page's unit tests need it")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"node {version.strip()} is too old: the page's unit tests need 20")
    files = sorted(map(str, TESTS.glob("*.test.js")))
    assert files
    command = [node, "--test", "--test-reporter=tap", *files]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(re.search(r"^# pass (\d+)$", ran.stdout, re.M)[1]) >= 40
    assert re.search(r"^# (skipped|todo) 0$", ran.stdout, re.M)


def test_the_index_refers_to_files_that_are_there(index):
    files = [address for address in index.addresses if not address.startswith("data:")]
    assert files
    for address in files:
        folder, name = address.split("/")
        assert folder == "page"
        assert (PAGE / name).is_file(), address


def test_the_index_has_nothing_inline_that_a_policy_would_refuse(index):
    assert index.inline == []


def test_ids_are_unique(index):
    assert len(index.ids) == len(set(index.ids))


def test_the_ids_that_modules_ask_for_are_there(index):
    asked = set()
    for file in MODULES:
        asked |= set(re.findall(r'\bthe\("([\w-]+)"\)', file.read_text(encoding="utf-8")))
    assert len(asked) > 20
    assert asked <= set(index.ids)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PAGE)))
def test_each_module_is_checked_short_and_imports_its_neighbours_only(file):
    text = file.read_text(encoding="utf-8")
    assert text.startswith("// @ts-check\n/** ")
    assert len(text.splitlines()) <= 250
    for name in re.findall(r'(?:from|import)\s*\(?"([^"]+)"', text):
        assert name.startswith(("./", "../")), f"{file.name} imports {name}"
        found = (file.parent / name).resolve()
        assert found in MODULES, f"{file.name} imports {name}"
        # The live page loads its own folder alone.
        assert file.parent != PAGE or found.parent == PAGE, f"{file.name} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere(file):
    addresses = set(re.findall(r"(?:https?|wss?)://[^\s\"')]*", file.read_text(encoding="utf-8")))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in file.read_text(encoding="utf-8")


def test_the_page_is_as_large_as_is_told():
    told = float(re.search(r"(\d+) kB", DOCS.read_text(encoding="utf-8"))[1])
    size = sum(file.stat().st_size for file in FILES if file.parent == PAGE) / 1000
    assert abs(size - told) < 0.1 * told, (
        f"docs/explorer.md says {told} kB, and they are {size:.0f}"
    )
